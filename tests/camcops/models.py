"""The tables of the seed's manual scripts, under the names that they have on the wire."""

from django.db import models
from django.db.models.signals import class_prepared

from audit.index import Indexed
from audit.mirror.build import build_mirror


def mirror_of_this_app(sender, **_):
    if sender.__module__ == __name__:
        build_mirror(sender)


class_prepared.connect(mirror_of_this_app)


class Uploaded(models.Model):
    """What every table of a tablet has: its own key, and the client's modification time."""

    id = models.IntegerField(primary_key=True)
    when_last_modified = models.DateTimeField(null=True)

    class Meta:
        abstract = True

    def __str__(self):
        return f"{self._meta.db_table} {self.pk}"


class Patient(Uploaded):
    forename = models.CharField(max_length=100, null=True)
    surname = models.CharField(max_length=100, null=True)
    sex = models.CharField(max_length=1, null=True)
    dob = models.DateField(null=True)

    indexed = Indexed(identifiers=("surname", "forename"))

    class Meta:
        db_table = "patient"


class PatientIdNum(Uploaded):
    patient = models.ForeignKey(Patient, models.DO_NOTHING, db_constraint=False)
    which_idnum = models.IntegerField(null=True)
    idnum_value = models.BigIntegerField(null=True)

    indexed = Indexed(identifiers=("idnum_value", "which_idnum"), parent="patient")

    class Meta:
        db_table = "patient_idnum"


class RefSatisGen(Uploaded):
    """A task without a patient, of a single record."""

    when_created = models.DateTimeField(null=True)
    service = models.TextField(null=True)
    rating = models.IntegerField(null=True)
    good = models.TextField(null=True)
    bad = models.TextField(null=True)

    indexed = Indexed(identifiers=("service",))

    class Meta:
        db_table = "ref_satis_gen"


class ProgressNote(Uploaded):
    patient = models.ForeignKey(Patient, models.DO_NOTHING, db_constraint=False)
    when_created = models.DateTimeField(null=True)
    location = models.TextField(null=True)
    note = models.TextField(null=True)

    indexed = Indexed(identifiers=("location",), parent="patient")

    class Meta:
        db_table = "progressnote"


class PhotoSequence(Uploaded):
    patient = models.ForeignKey(Patient, models.DO_NOTHING, db_constraint=False)
    sequence_description = models.TextField(null=True)

    indexed = Indexed(identifiers=("sequence_description",), parent="patient")

    class Meta:
        db_table = "photosequence"


class PhotoSequencePhoto(Uploaded):
    photosequence = models.ForeignKey(PhotoSequence, models.DO_NOTHING, db_constraint=False)
    seqnum = models.IntegerField(null=True)
    description = models.TextField(null=True)
    photo_blobid = models.IntegerField(null=True)

    class Meta:
        db_table = "photosequence_photos"


class Blob(Uploaded):
    tablename = models.TextField(null=True)
    tablepk = models.IntegerField(null=True)
    fieldname = models.TextField(null=True)
    mimetype = models.TextField(null=True)
    theblob = models.BinaryField(null=True)

    class Meta:
        db_table = "blobs"


class EveryKind(models.Model):
    """One column of each kind, and neither a modification time nor a counting key."""

    code = models.UUIDField(primary_key=True)
    number = models.SmallIntegerField(null=True)
    ratio = models.FloatField(null=True)
    dose = models.DecimalField(max_digits=8, decimal_places=3, null=True)
    done = models.BooleanField(null=True)
    day = models.DateField(null=True)
    clock = models.TimeField(null=True)
    moment = models.DateTimeField(null=True)
    took = models.DurationField(null=True)
    raw = models.BinaryField(null=True)
    answers = models.JSONField(null=True)
    short = models.CharField(max_length=5, null=True)
    address = models.GenericIPAddressField(null=True)

    min_client_version = "2.0"

    class Meta:
        db_table = "every_kind"

    def __str__(self):
        return str(self.code)


class_prepared.disconnect(mirror_of_this_app)
