"""What the encoded data say about the course of a training, where they are at hand."""

from slangmod.errors import DataError
from slangmod.settings.course import Data
from slangmod.settings.sections import Settings


def data_at_hand(settings: Settings) -> Data | None:
    """What is known of the encodings of ``settings``; None where there are none.

    Their text is not read: sizes are in the manifest.
    """
    from slangmod.data.planning import batches_of
    from slangmod.data.shards import encodings_folder, open_encodings

    try:
        encodings = open_encodings(encodings_folder(settings))
    except DataError:
        return None
    return Data(encodings.manifest.vocab, batches_of(encodings))
