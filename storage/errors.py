"""The storage layer's one tree of errors.

Owns what can go wrong with jobs and artifacts. Knows nothing of HTTP codes. Every error takes its
message only, so that it survives pickling between processes. Errors of Redis and of the operating
system are turned into these once, where they appear.
"""


class StorageError(Exception):
    """Base of all errors that the storage layer raises on purpose."""


class JobNotFound(StorageError):
    """No job of that id: never created, expired or deleted."""


class JobExists(StorageError):
    """A different job already has that id."""


class JobBusy(StorageError):
    """The job is queued or being processed, so that a new run cannot be asked for."""


class QueueFull(StorageError):
    """As many jobs wait as are allowed to; nothing was accepted."""


class OwnerQueueFull(StorageError):
    """As many of the owner's jobs wait as one owner may have waiting; nothing was accepted."""


class KeyReused(StorageError):
    """An idempotency key came back with a different request."""


class LeaseLost(StorageError):
    """The caller no longer holds the job: another attempt runs, it ended, or it was deleted."""


class StoreUnavailable(StorageError):
    """Redis cannot be reached, is loading, is full or refuses writes; trying again later may help."""


class StoreFault(StorageError):
    """Redis refused a command for a reason that trying again does not mend."""


class FileStoreError(StorageError):
    """The file store failed for a reason that is none of those below."""


class FileMissing(FileStoreError):
    """No such file, or the job's folder is gone."""


class StoreFull(FileStoreError):
    """No space left on the device, or the quota is used up."""


class FileStoreUnavailable(FileStoreError):
    """The file store cannot be reached or refuses everybody; trying again later may help."""


class UploadElsewhere(FileStoreError):
    """An upload lies on another node and was not lent."""


class BadKey(FileStoreError):
    """The storage key is not of the allowed form."""
