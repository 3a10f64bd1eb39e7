"""JSON <-> wire against a second implementation: Debian's python3-protobuf.

Random messages of property.proto go through shared/json.c (by tests/property/json_tool.c) and through
google.protobuf.json_format; both must say the same. Failures name the seed of their case, JSON_SEED repeats
a run, JSON_CASES sets how many messages each test makes.
"""

import json
import math
import os
import random
import string
import struct
import subprocess

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import FieldDescriptor as F

HERE = os.path.dirname(os.path.abspath(__file__))
BUILD = os.path.join(HERE, "../../build/test/property")
SEED = int(os.environ.get("JSON_SEED", str(random.SystemRandom().randrange(1 << 32))))
CASES = int(os.environ.get("JSON_CASES", "1000"))
PACKAGE = "atrium.property.v1."
# What json_format lets through when it is given the wrong types.
PARSE_ERRORS = (json_format.ParseError, ValueError, TypeError, AttributeError, KeyError, OverflowError)


def load_classes():
    """The messages of property.proto, from the descriptors that protoc wrote."""
    with open(os.path.join(BUILD, "property.pb"), "rb") as file:
        files = descriptor_pb2.FileDescriptorSet.FromString(file.read())
    pool = descriptor_pool.DescriptorPool()
    for one in files.file:
        pool.Add(one)
    factory = message_factory.MessageFactory(pool)
    names = ["Scalars", "Lists", "Maps", "WellKnown", "Everything"]
    return {name: factory.GetPrototype(pool.FindMessageTypeByName(PACKAGE + name)) for name in names}


class Refused(Exception):
    """Our side said no; the text names the problems."""


class Tool:
    """tests/property/json_tool.c, running."""

    def __init__(self):
        command = [os.path.join(BUILD, "json_tool"), os.path.join(BUILD, "gateway.tables")]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, direction, type_name, body):
        name = type_name.encode()
        request = direction.encode() + bytes([len(name)]) + name + body
        self.process.stdin.write(struct.pack("<I", len(request)) + request)
        self.process.stdin.flush()
        (length,) = struct.unpack("<I", self.process.stdout.read(4))
        reply = self.process.stdout.read(length)
        if reply[:1] != b"+":
            raise Refused(reply[1:].decode())
        return reply[1:]

    def to_wire(self, message_type, text):
        return self.ask("r", message_type.full_name, text)

    def to_json(self, message_type, wire):
        return self.ask("w", message_type.full_name, wire)

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(timeout=10) == 0, "json_tool failed"


@pytest.fixture(scope="module", name="built", autouse=True)
def built_tool():
    subprocess.run([os.path.join(HERE, "run"), "build"], check=True)
    print(f"JSON_SEED={SEED} JSON_CASES={CASES}")


@pytest.fixture(scope="module", name="tool")
def running_tool(built):
    tool = Tool()
    yield tool
    tool.close()


@pytest.fixture(scope="module", name="classes")
def message_classes(built):
    return load_classes()


# ---------------------------------------------------------------------------------------------------- making messages

INTEGER_RANGES = {
    F.CPPTYPE_INT32: (-(1 << 31), (1 << 31) - 1),
    F.CPPTYPE_INT64: (-(1 << 63), (1 << 63) - 1),
    F.CPPTYPE_UINT32: (0, (1 << 32) - 1),
    F.CPPTYPE_UINT64: (0, (1 << 64) - 1),
}
TEXT = string.printable.replace("\x0b", "").replace("\x0c", "") + "\b\f\x01\x1f\x7fäßçł€漢字\u2028\u2029\ufeff😀𝄞\U0010ffff"


class Maker:
    """Fills messages at random, with a liking for the edges."""

    def __init__(self, rng):
        self.rng = rng

    def integer(self, low, high):
        kind = self.rng.randrange(5)
        if kind == 0:
            return self.rng.choice([low, high, 0, 1, max(low, -1)])
        if kind == 1:
            return max(low, min(high, self.rng.choice([-1, 1]) * (1 << self.rng.randrange(64)) + self.rng.randrange(-1, 2)))
        if kind == 2:
            return self.rng.randint(low, high)
        return self.rng.randint(max(low, -1000), 1000)

    def double(self, finite):
        kind = self.rng.randrange(7)
        if kind == 0 and not finite:
            return self.rng.choice([math.inf, -math.inf, math.nan])
        if kind == 1:
            return self.rng.choice([0.0, -0.0, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308, 0.1, 1e22, 1e23, 2**53 + 2.0])
        if kind == 2:
            value = struct.unpack("<d", struct.pack("<Q", self.rng.getrandbits(64)))[0]
            return value if math.isfinite(value) else 1.5
        if kind == 3:
            return self.rng.randint(-(10**6), 10**6) / 10 ** self.rng.randrange(8)
        return self.rng.uniform(-1, 1) * 10 ** self.rng.randrange(-5, 20)

    def single(self):
        kind = self.rng.randrange(4)
        if kind == 0:
            return self.rng.choice([math.inf, -math.inf, math.nan, 0.0, -0.0, 3.4028233e38, 1e-45])
        if kind == 1:
            value = struct.unpack("<f", struct.pack("<I", self.rng.getrandbits(32)))[0]
            return value if math.isfinite(value) else 0.5
        return self.rng.randint(-(10**6), 10**6) / 10 ** self.rng.randrange(6)

    def text(self):
        if self.rng.randrange(20) == 0:
            return "x" * self.rng.choice([126, 127, 128, 129, 300, 16383, 16384, 20000])
        return "".join(self.rng.choice(TEXT) for _ in range(self.rng.choice([0, 1, 3, 8, 17, 40])))

    def scalar(self, field):
        if field.cpp_type in INTEGER_RANGES:
            return self.integer(*INTEGER_RANGES[field.cpp_type])
        if field.cpp_type == F.CPPTYPE_DOUBLE:
            return self.double(finite=field.containing_type.full_name == "google.protobuf.Value")
        if field.cpp_type == F.CPPTYPE_FLOAT:
            return self.single()
        if field.cpp_type == F.CPPTYPE_BOOL:
            return bool(self.rng.randrange(2))
        if field.cpp_type == F.CPPTYPE_ENUM:
            return self.rng.choice(list(field.enum_type.values)).number
        if field.type == F.TYPE_BYTES:
            return self.rng.randbytes(self.rng.choice([0, 1, 2, 3, 4, 5, 31, 200]))
        return self.text()

    def value(self, value, depth):
        kind = self.rng.randrange(4 if depth <= 0 else 6)
        if kind == 0:
            value.null_value = 0
        elif kind == 1:
            value.number_value = self.double(finite=True)
        elif kind == 2:
            value.string_value = self.text()
        elif kind == 3:
            value.bool_value = bool(self.rng.randrange(2))
        elif kind == 4:
            value.struct_value.SetInParent()
            self.struct(value.struct_value, depth - 1)
        else:
            value.list_value.SetInParent()
            for _ in range(self.rng.randrange(4)):
                self.value(value.list_value.values.add(), depth - 1)

    def struct(self, message, depth):
        for _ in range(self.rng.randrange(4)):
            self.value(message.fields[self.text()], depth)

    def well_known(self, message, depth):
        """True when the message is one of those whose content has rules."""
        name = message.DESCRIPTOR.full_name
        if name == "google.protobuf.Timestamp":
            message.seconds = self.rng.choice([-62135596800, 253402300799, 0, self.rng.randint(-62135596800, 253402300799)])
            message.nanos = self.nanos()
        elif name == "google.protobuf.Duration":
            sign = self.rng.choice([-1, 1])
            message.seconds = sign * self.rng.choice([0, 1, 315575999999, self.rng.randrange(315576000000)])
            message.nanos = sign * self.nanos()
        elif name == "google.protobuf.FieldMask":
            steps = ["user", "display_name", "a", "photo_url", "b_c_d"]
            message.paths.extend(
                ".".join(self.rng.choice(steps) for _ in range(self.rng.randint(1, 3))) for _ in range(self.rng.randrange(4))
            )
        elif name == "google.protobuf.Value":
            self.value(message, min(depth, 3))
        elif name == "google.protobuf.Struct":
            self.struct(message, min(depth, 3))
        elif name == "google.protobuf.ListValue":
            for _ in range(self.rng.randrange(4)):
                self.value(message.values.add(), min(depth, 3))
        else:
            return False
        return True

    def nanos(self):
        return self.rng.choice([0, 1, 999999999, self.rng.randrange(1000) * 10**6, self.rng.randrange(10**6) * 1000, self.rng.randrange(10**9)])

    def map(self, entries, field, depth):
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        for _ in range(self.rng.choice([1, 2, 12])):
            if value.type == F.TYPE_MESSAGE:
                self.fill(entries[self.scalar(key)], depth - 1)
            else:
                entries[self.scalar(key)] = self.scalar(value)

    def fill(self, message, depth):
        message.SetInParent()
        if self.well_known(message, depth):
            return message
        fields = list(message.DESCRIPTOR.fields)
        for field in self.rng.sample(fields, self.rng.randint(0, len(fields))):
            if field.type == F.TYPE_MESSAGE and (depth <= 0 or (depth < 3 and self.rng.randrange(3))):
                continue
            if field.message_type and field.message_type.GetOptions().map_entry:
                self.map(getattr(message, field.name), field, depth)
            elif field.label == F.LABEL_REPEATED:
                for _ in range(self.rng.choice([0, 1, 2, 5])):
                    if field.type == F.TYPE_MESSAGE:
                        self.fill(getattr(message, field.name).add(), depth - 1)
                    else:
                        getattr(message, field.name).append(self.scalar(field))
            elif field.type == F.TYPE_MESSAGE:
                self.fill(getattr(message, field.name), depth - 1)
            else:
                setattr(message, field.name, self.scalar(field))
        return message


def cases(name):
    """Each case has a seed of its own, so that one failure can be looked at alone."""
    for number in range(CASES):
        seed = f"{SEED}-{name}-{number}"
        yield seed, random.Random(seed)


def bits(message):
    """For comparing: == fails on NaN, and maps have no order."""
    return message.SerializePartialToString(deterministic=True)


def loosen(value):
    """JSON as the mapping means it: 64-bit integers are equal as numbers and as strings."""
    if isinstance(value, dict):
        return {key: str(v) if key in ("plainInt64", "plain_int64") else loosen(v) for key, v in value.items()}
    return [loosen(v) for v in value] if isinstance(value, list) else value


def random_message(rng, classes):
    name = rng.choice(sorted(classes))
    return Maker(rng).fill(classes[name](), 3)


# ---------------------------------------------------------------------------------------------------- the properties


def test_json_is_read_as_the_other_implementation_reads_it(tool, classes):
    for seed, rng in cases("read"):
        message = random_message(rng, classes)
        text = json_format.MessageToJson(
            message,
            preserving_proto_field_name=rng.random() < 0.3,
            use_integers_for_enums=rng.random() < 0.3,
            indent=rng.choice([0, 2]),
            ensure_ascii=rng.random() < 0.5,
        )
        try:
            wire = tool.to_wire(message.DESCRIPTOR, text.encode())
        except Refused as problems:
            pytest.fail(f"case {seed}: refused: {problems}\n{text[:2000]}")
        again = type(message).FromString(wire)
        assert bits(again) == bits(message), f"case {seed}\n{text[:2000]}\n{again}"


def test_wire_is_shown_as_the_other_implementation_shows_it(tool, classes):
    for seed, rng in cases("show"):
        message = random_message(rng, classes)
        text = tool.to_json(message.DESCRIPTOR, message.SerializeToString())
        theirs = json_format.MessageToJson(message)
        assert loosen(json.loads(text)) == loosen(json.loads(theirs)), f"case {seed}\n{text[:2000]}"
        again = json_format.Parse(text, type(message)())
        assert bits(again) == bits(message), f"case {seed}\n{text[:2000]}"


def test_pieces_of_wire_in_any_order_are_one_message(tool, classes):
    """Parsers must take a message that comes as several, one behind the other."""
    for seed, rng in cases("pieces"):
        first = random_message(rng, classes)
        wire = first.SerializeToString()
        for _ in range(rng.randrange(3)):
            wire += Maker(rng).fill(type(first)(), 3).SerializeToString()
        message = type(first).FromString(wire)
        try:
            theirs = json_format.MessageToJson(message)
        except (json_format.SerializeToJsonError, ValueError):
            # Seconds of one piece and nanos of another may make a Duration that is none.
            with pytest.raises(Refused):
                tool.to_json(message.DESCRIPTOR, wire)
            continue
        text = tool.to_json(message.DESCRIPTOR, wire)
        assert loosen(json.loads(text)) == loosen(json.loads(theirs)), f"case {seed}\n{text[:2000]}"


def test_there_and_back_changes_nothing(tool, classes):
    for seed, rng in cases("back"):
        message = random_message(rng, classes)
        text = tool.to_json(message.DESCRIPTOR, message.SerializeToString())
        wire = tool.to_wire(message.DESCRIPTOR, text)
        assert tool.to_json(message.DESCRIPTOR, wire) == text, f"case {seed}"


def mutate(rng, value):
    """One change somewhere in the tree, of a kind that may or may not be allowed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = rng.choice(sorted(value))
        return {**value, key: mutate(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = rng.randrange(len(value))
        return value[:at] + [mutate(rng, value[at])] + value[at + 1 :]
    choices = [None, 0, -1, 1.0, 2.5, 1e3, 1 << 31, -(1 << 63), 1 << 64, "", "5", "1.0", "AA==", "_-8", "x", [], {}, [1], {"a": 1}]
    choices += ["2024-02-29T12:00:00.5+01:00", "3.25s", "-0.000001s", "fooBar,baz.quxQuux", "COLOR_RED", "true", "Infinity"]
    return rng.choice(choices)


def test_what_both_accept_means_the_same(tool, classes):
    """Where one is stricter than the other they may differ; where both read something it must be the same."""
    both = 0
    for seed, rng in cases("mutate"):
        message = random_message(rng, classes)
        tree = mutate(rng, json.loads(json_format.MessageToJson(message)))
        text = json.dumps(tree)
        try:
            theirs = json_format.Parse(text, type(message)())
            wire = tool.to_wire(message.DESCRIPTOR, text.encode())
        except (Refused, *PARSE_ERRORS):
            continue
        both += 1
        assert bits(type(message).FromString(wire)) == bits(theirs), f"case {seed}\n{text[:2000]}"
    assert both > CASES // 20, "hardly anything was accepted by both"


def test_what_the_other_implementation_accepts_is_accepted(tool, classes):
    """But for what Python takes by accident: "" and [] for an object, base64 with other characters in it, fractions for
    an enum and anything at all for a NullValue."""
    accidents = ("expected object", "expected base64", "expected enum value")
    refused = []
    for seed, rng in cases("accept"):
        message = random_message(rng, classes)
        text = json.dumps(mutate(rng, json.loads(json_format.MessageToJson(message))))
        try:
            json_format.Parse(text, type(message)())
        except PARSE_ERRORS:
            continue
        try:
            tool.to_wire(message.DESCRIPTOR, text.encode())
        except Refused as problems:
            if not any(accident in str(problems) for accident in accidents):
                refused.append((seed, str(problems).strip()))
    assert not refused, f"{len(refused)} refused: {refused[:10]}"
