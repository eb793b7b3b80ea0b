import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0003_device_group'),
        ('auth', '0012_alter_user_first_name_max_length'),
        ('sync_api', '0006_uploads'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AccessKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key_hash', models.CharField(max_length=64, unique=True)),
                ('model', models.CharField(help_text='app_label.model of the record.', max_length=201)),
                ('identity', models.JSONField(help_text='The values by which the record is known, by field name.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('created_by', models.CharField(blank=True, max_length=150)),
                ('expires_at', models.DateTimeField(blank=True, help_text='From then on no device can be registered.', null=True)),
                ('ended_at', models.DateTimeField(blank=True, help_text='From then on its users cannot upload either.', null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='auth.group')),
            ],
            options={
                'ordering': ['-created_at'],
                'permissions': [('register_devices', 'Can register devices that upload their tables'), ('upload_records', 'Can upload the tables of devices')],
            },
        ),
        migrations.CreateModel(
            name='SingleRecordUser',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('password_set_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('access_key', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='users', to='sync_api.accesskey')),
                ('device', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='audit.device')),
                ('user', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-created_at'],
            },
        ),
        migrations.AddConstraint(
            model_name='singlerecorduser',
            constraint=models.UniqueConstraint(fields=('device', 'access_key'), name='sync_one_user_per_device_and_key'),
        ),
    ]
