import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0002_index_and_erasure'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.AddField(
            model_name='device',
            name='group',
            field=models.ForeignKey(blank=True, help_text='Whose members may upload for it; without one only superusers may.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='auth.group'),
        ),
    ]
