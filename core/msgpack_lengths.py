"""Whether a msgpack document can be what it claims, told from its headers before a single list is made.

msgpack makes room for a whole list as soon as it reads how long it will be, and bounds that length by the whole document alone: a
thousand lists within each other, each claiming the rest of a 128 KiB frame, ask for a gigabyte. Where that could be, every announced item is
counted against the bytes that are left, of which it needs one at least; so what is made has never more items than the frame has bytes.
"""

from .errors import ProtocolError

#: What lists may take for their empty room alone before the headers are counted one by one, which costs a microsecond for six.
ROOM_LIMIT_BYTES = 16 * 1024 * 1024
_ITEM_BYTES = 8
#: Were each of its bytes the header of a list as long as the whole, a document of up to this length would still ask for less.
_SHORT_BYTES = 1_024
_FIX_MAP, _FIX_ARRAY, _FIX_STRING, _AFTER_FIX = 0x80, 0x90, 0xA0, 0xC0
_NEGATIVE_FIX = 0xE0
#: Of each header: the bytes of its own that follow it, when these are a plain number ...
_NUMBER_BYTES = {
    **dict.fromkeys((0xC0, 0xC2, 0xC3), 0),
    **dict.fromkeys((0xCC, 0xD0), 1),
    **dict.fromkeys((0xCD, 0xD1), 2),
    **dict.fromkeys((0xCA, 0xCE, 0xD2), 4),
    **dict.fromkeys((0xCB, 0xCF, 0xD3), 8),
}
#: ... or a length in so many bytes, and how much there is of each: bytes of text or data, items of a list, or of a map.
_LENGTH_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4, 0xDC: 2, 0xDD: 4, 0xDE: 2, 0xDF: 4}
_ITEMS_EACH = {0xDC: 1, 0xDD: 1, 0xDE: 2, 0xDF: 2}


def check_lengths(data: bytes) -> None:
    """Check that reading a document takes no more memory than its length justifies.

    Raises:
        ProtocolError: it would; it announces more than it holds.
    """
    if len(data) <= _SHORT_BYTES:
        return
    # Each byte that may be the header of a long list is taken for one: nearly every message of ours passes here.
    long_lists = len(data) * data.count(0xDD) + min(len(data), 0xFFFF) * data.count(0xDC)
    if long_lists * _ITEM_BYTES > ROOM_LIMIT_BYTES:
        count_items(data)


def check_items(data: bytes, limit: int) -> None:
    """Refuse a document of more items than this: one of a byte takes about eighty in memory, so a limit on bytes is none on that.

    Raises:
        ProtocolError: it has more, or as ``count_items``.
    """
    if has_more_items(data, limit):
        raise ProtocolError(f"not for us: it has more than {limit:,} items")


def has_more_items(data: bytes, limit: int) -> bool:
    """Tell whether a document has more items than this, it and what is within it counted; those beyond are not looked at.

    Raises:
        ProtocolError: as ``count_items``.
    """
    return len(data) > limit and count_items(data, limit) > limit


def count_items(data: bytes, limit: int | None = None) -> int:
    """Walk over the headers of a document; contents are not looked at, and neither is what follows its end.

    Args:
        data: the document.
        limit: with one the walk ends as soon as more items are announced, and so many are returned.

    Raises:
        ProtocolError: it is cut off, announces more than it holds, or holds an extension type, of which we use none.
    """
    position, items, end = 0, 1, len(data)
    walked = 0
    while items:
        if limit is not None and walked + items > limit:
            break
        if items > end - position:
            raise ProtocolError("not msgpack: it announces more than it holds")
        first = data[position]
        position += 1
        items -= 1
        walked += 1
        if first < _FIX_MAP or first >= _NEGATIVE_FIX:
            continue
        if first < _FIX_ARRAY:
            items += 2 * (first - _FIX_MAP)
        elif first < _FIX_STRING:
            items += first - _FIX_ARRAY
        elif first < _AFTER_FIX:
            position += first - _FIX_STRING
        elif first in _NUMBER_BYTES:
            position += _NUMBER_BYTES[first]
        elif first in _LENGTH_BYTES:
            body = position + _LENGTH_BYTES[first]
            length = int.from_bytes(data[position:body], "big")
            position = body
            if first in _ITEMS_EACH:
                items += length * _ITEMS_EACH[first]
            else:
                position += length
        else:
            raise ProtocolError("not msgpack: a type that we do not use")
    if position > end:
        raise ProtocolError("not msgpack: it is cut off")
    return walked + items
