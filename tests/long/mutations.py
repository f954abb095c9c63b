"""Mutations: changes of a valid file, such as damage, mistyped numbers and hostile structure, drawn with a seed."""

import io
import random
import re
from collections.abc import Callable

import polars as pl

NUMBERS = (
    b"0", b"-1", b"1e308", b"1e999", b"-1e-320", b"9" * 25, b"9" * 5000, b".inf", b"-.inf", b".nan", b"NaN", b"1:30",
    b"010", b"0o7", b"0x1F", b"1_000", b"1,5", b"20%", b"500ms", b"2s", b"true", b"yes", b"null", b"~", b"''",
    b"2026-13-45", b"2024-05-01", b"!!int foo", b"!!float x", b"!!binary a", b"!!timestamp foo", b"!!python/name:os",
    b"4294967296", b"9223372036854775808", b"-0.0", b"[]", b"{}", b"*a", b"&a 1", b"1e3", b"\xef\xbc\x95",
)  # fmt: skip
WORDS = (
    b"", b"\x00", b"\xff", b'"\\u0000"', b'"\\ud800"', b'"\\x00"', b"\x1b[31m", b"\n", b"\r", b"\t", b"a" * 5000,
    b'"', b"'", b"on", b"off", b"No", b"<<", b"=", b"-", b"?", b":", b"#", b"../..", b"/dev/null", b"rates:/dev/null",
    b"rates:.", b"gamma:cv=nan", b"gamma:cv=", b"regimes:period=1_0", b"sharegpt", b"\xe2\x80\xa8", b"%s{0}$(x)",
)  # fmt: skip
STRUCTURES = (
    lambda text: b"[" * 2000 + text + b"]" * 2000,
    lambda text: b'{"a":' * 500 + text + b"}" * 500,
    lambda text: b"[" + text + b"]",
    lambda text: b"{x: " + text + b"}",
    lambda text: b"- " * 300 + text,
    lambda _: b"[&a [x,x,x,x,x,x,x,x,x,x]," + b",".join(_ten_of(i) for i in range(9)) + b"]",
    lambda _: b"&z [*z, *z]",
    lambda _: b"{<<: [*q], <<: 1}",
    lambda _: b"[" + b"0," * 100_000 + b"0]",
)


def _ten_of(level: int) -> bytes:
    """A list that holds the one before it ten times: nine of these stand for a thousand million values."""
    before, name = (b"a", b"a1") if level == 0 else (b"a%d" % level, b"a%d" % (level + 1))
    return b"&" + name + b" [" + b",".join([b"*" + before] * 10) + b"]"


def mutated(content: bytes, random: random.Random) -> bytes:
    """Return the content of a file of text with one to three changes."""
    for _ in range(random.choice((1, 1, 2, 3))):
        content = random.choice(OF_TEXT)(content, random)
    return content


def _flipped(content: bytes, random: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 4, 20))):
        if changed:
            changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _cut(content: bytes, random: random.Random) -> bytes:
    first, last = sorted(random.randrange(len(content) + 1) for _ in range(2))
    return random.choice((content[:first], content[last:], content[:first] + content[last:]))


def _inserted(content: bytes, random: random.Random) -> bytes:
    at = random.randrange(len(content) + 1)
    return content[:at] + random.choice((random.randbytes(random.choice((1, 8, 200))), *WORDS)) + content[at:]


def _token(pattern: bytes) -> Callable[[bytes, random.Random], tuple[int, int] | None]:
    def find(content: bytes, random: random.Random) -> tuple[int, int] | None:
        found = [match.span() for match in re.finditer(pattern, content)]
        return random.choice(found) if found else None

    return find


_number, _word = _token(rb"(?<![\w.])[-+]?\.?\d[\w.+-]*"), _token(rb"[\w./:-]+|\"[^\"\n]*\"")


def _number_replaced(content: bytes, random: random.Random) -> bytes:
    place = _number(content, random)
    return content if place is None else content[: place[0]] + random.choice(NUMBERS) + content[place[1] :]


def _word_replaced(content: bytes, random: random.Random) -> bytes:
    place = _word(content, random)
    return content if place is None else content[: place[0]] + random.choice(WORDS + NUMBERS) + content[place[1] :]


def _words_swapped(content: bytes, random: random.Random) -> bytes:
    places = sorted(filter(None, (_word(content, random), _word(content, random))))
    if len(places) < 2 or places[0][1] > places[1][0]:
        return content
    (a, b), (c, d) = places
    return content[:a] + content[c:d] + content[b:c] + content[a:b] + content[d:]


def _lines_changed(content: bytes, random: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    at, other = random.randrange(len(lines) or 1), random.randrange(len(lines) or 1)
    if not lines:
        return content
    if (kind := random.randrange(4)) == 0:
        del lines[at]
    elif kind == 1:
        lines[at:at] = [lines[at]] * random.choice((1, 2, 50))
    elif kind == 2:
        lines[at], lines[other] = lines[other], lines[at]
    else:
        lines[at] = random.choice((b"  ", b"\t", b"- ", b", ", b'"')) + lines[at]
    return b"".join(lines)


def _nested(content: bytes, random: random.Random) -> bytes:
    place = _word(content, random)
    if place is None:
        return content
    return content[: place[0]] + random.choice(STRUCTURES)(content[place[0] : place[1]]) + content[place[1] :]


def _encoded(content: bytes, random: random.Random) -> bytes:
    text = content.decode(errors="replace")
    encodings = ("utf-16", "utf-16-le", "utf-32", "latin-1", "utf-8-sig")
    return random.choice(
        (
            *(text.encode(encoding, errors="replace") for encoding in encodings),
            content.replace(b"\n", b"\r\n", content.count(b"\n") // 2),
            content.replace(b"\n", b"\r"),
            content.replace(b",", b";"),
            content.replace(b",", b"\t"),
        )
    )


OF_TEXT = (
    _flipped, _cut, _inserted, _number_replaced, _number_replaced, _word_replaced, _words_swapped, _lines_changed,
    _nested, _encoded,
)  # fmt: skip


def mutated_parquet(content: bytes, random: random.Random) -> bytes:
    """Return the content of a Parquet file with damage, or with other columns and values."""
    if random.random() < 0.7:
        return random.choice((_flipped, _flipped, _cut, _inserted))(content, random)
    table = pl.read_parquet(io.BytesIO(content))
    name = random.choice(table.columns)
    column = random.choice(
        (
            pl.lit(None).alias(name),
            pl.lit(float("inf")).alias(name),
            pl.lit(float("nan")).alias(name),
            pl.lit(-1).alias(name),
            pl.lit("x").alias(name),
            pl.lit([1, 2]).alias(name),
            pl.lit(True).alias(name),
            pl.col(name).cast(pl.String),
            pl.col(name).alias(name + "x"),
        )
    )
    changed = random.choice((table.with_columns(column), table.drop(name), table.head(0), table.reverse()))
    buffer = io.BytesIO()
    changed.write_parquet(buffer)
    return buffer.getvalue()
