import audit.fields
import django.db.models.deletion
import django.utils.timezone
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0001_initial'),
        ('sync_api', '0005_recipients_digest'),
    ]

    operations = [
        migrations.CreateModel(
            name='Upload',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('user', models.CharField(help_text='User name of the one who began it.', max_length=150)),
                ('key', models.CharField(blank=True, help_text="The client's idempotency key.", max_length=100)),
                ('request_hash', models.CharField(blank=True, help_text='SHA-256 of the request that began it.', max_length=64)),
                ('state', models.CharField(choices=[('open', 'open'), ('committed', 'committed'), ('rolled_back', 'rolled back'), ('refused', 'refused')], default='open', max_length=12)),
                ('is_one_step', models.BooleanField(default=False)),
                ('is_preserving', models.BooleanField(default=False, help_text='Everything of the device leaves the era NOW.')),
                ('app_version', models.CharField(blank=True, max_length=50)),
                ('started_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('ended_why', models.TextField(blank=True, help_text="Of one rolled back or refused. Never a field's value.")),
                ('code', models.CharField(blank=True, help_text="Of one refused: the problem's code.", max_length=40)),
                ('era', models.CharField(blank=True, help_text='The era that its records were preserved in, if any.', max_length=32)),
                ('has_moved', models.BooleanField(default=False, help_text='It preserved all or some records.')),
                ('reply', models.JSONField(blank=True, help_text='The last answer, given again to the same request.', null=True)),
                ('staged_steps', models.PositiveIntegerField(default=0)),
                ('staged_bytes', models.PositiveBigIntegerField(default=0)),
                ('refusals', models.JSONField(blank=True, default=list, help_text='Refused steps: when, what, which code.')),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='uploads', to='audit.device')),
            ],
            options={
                'ordering': ['-started_at'],
            },
        ),
        migrations.CreateModel(
            name='UploadedOffset',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('table', models.CharField(help_text='Label of the model.', max_length=201)),
                ('field', models.CharField(max_length=100)),
                ('utc_offset', models.SmallIntegerField(help_text='Minutes.')),
                ('versions', models.JSONField(help_text='Mirror keys (_pk).')),
                ('upload', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='offsets', to='sync_api.upload')),
            ],
            options={
                'ordering': ['upload', 'table', 'field', 'utc_offset'],
            },
        ),
        migrations.CreateModel(
            name='UploadStep',
            fields=[
                ('id', audit.fields.RowIdField(primary_key=True, serialize=False)),
                ('operation', models.CharField(max_length=30)),
                ('key', models.CharField(blank=True, max_length=100)),
                ('request_hash', models.CharField(max_length=64)),
                ('content', models.BinaryField(help_text='JSON, as the client sent its values.', null=True)),
                ('reply', models.JSONField(default=dict)),
                ('taken_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('upload', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='sync_api.upload')),
            ],
            options={
                'ordering': ['id'],
            },
        ),
        migrations.AddIndex(
            model_name='upload',
            index=models.Index(fields=['device', '-started_at'], name='sync_upload_of_device'),
        ),
        migrations.AddConstraint(
            model_name='upload',
            constraint=models.UniqueConstraint(condition=models.Q(('key', ''), _negated=True), fields=('device', 'key'), name='sync_upload_key_unique'),
        ),
        migrations.AddConstraint(
            model_name='upload',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('device',), name='sync_upload_one_open'),
        ),
        migrations.AddConstraint(
            model_name='uploadedoffset',
            constraint=models.UniqueConstraint(fields=('upload', 'table', 'field', 'utc_offset'), name='sync_uploaded_offset_unique'),
        ),
        migrations.AddConstraint(
            model_name='uploadstep',
            constraint=models.UniqueConstraint(condition=models.Q(('key', ''), _negated=True), fields=('upload', 'key'), name='sync_upload_step_key_unique'),
        ),
    ]
