"""What a tokenizer file of others may say, and what could blow up text."""

import base64
import json

import pytest
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers

from slangmod.errors import DataError
from slangmod.text.growth import MOST_GROWTH, refuse_growth
from slangmod.text.tokenizer import Codec
from tests.text.conftest import ALGORITHMS, PROSE, learnt
from tests.text.foreign import bert_like, gpt2_like, sentencepiece_like


def with_parts(make=sentencepiece_like, **parts) -> Tokenizer:
    tokenizer = make()
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    return tokenizer


def of_spec(**parts) -> dict:
    return {**json.loads(sentencepiece_like().to_str()), **parts}


MORE_SPACES = normalizers.Replace(Regex(" {2,}"), "▁")
KNOWN = {
    "bert": with_parts(bert_like, normalizer=normalizers.BertNormalizer()),
    "gpt2": gpt2_like(),
    "llama": with_parts(
        normalizer=normalizers.Sequence(
            [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
        ),
        decoder=decoders.Sequence(
            [
                decoders.Replace("▁", " "),
                decoders.ByteFallback(),
                decoders.Fuse(),
                decoders.Strip(" ", 1, 0),
            ]
        ),
    ),
    "albert": with_parts(
        normalizer=normalizers.Sequence(
            [
                normalizers.Replace("``", '"'),
                normalizers.NFKD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                MORE_SPACES,
            ]
        )
    ),
    "llama 3": with_parts(
        gpt2_like,
        pre_tokenizer=pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(r"\p{N}{1,3}| ?\p{L}+|\s+"), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
    ),
    "wav2vec": with_parts(decoder=decoders.CTC()),
    "openai": with_parts(decoder=decoders.BPEDecoder("</w>")),
}


@pytest.mark.parametrize("name", KNOWN)
def test_tokenizers_as_they_are_known_can_be_used(name, tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(KNOWN[name].to_str())
    codec = Codec.load(path)
    assert codec.decode(codec.encode("the fox"))


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_what_we_have_made_can_be_used(algo) -> None:
    Codec.from_json(learnt(algo, PROSE + "=" * 9999).to_json())


def charsmap(*texts: str) -> str:
    """A map as SentencePiece keeps it, of an empty trie."""
    trie = bytes(1024)
    content = len(trie).to_bytes(4, "little") + trie + "\0".join(texts).encode()
    return base64.b64encode(content).decode()


def mapped(*texts: str) -> dict:
    return {"type": "Precompiled", "precompiled_charsmap": charsmap(*texts)}


def sequence(kind: str, *parts: dict) -> dict:
    return {"type": "Sequence", kind: [*parts]}


def replaced(content: str, **pattern: str) -> dict:
    return {"type": "Replace", "pattern": pattern, "content": content}


def test_a_map_with_the_longest_form_of_unicode_is_known() -> None:
    spaces = replaced("▁", Regex=" {2,}")
    parts = sequence("normalizers", mapped("a", "\ufdfa"), spaces)
    refuse_growth(of_spec(normalizer=parts), [])


SPELLED_OUT = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe"}
SIGNS = {"…": "...", "©": "(c)", "½": "1/2", "€": " EUR", "„": '"'}


def test_a_list_of_replacements_that_leave_each_other_alone_is_known() -> None:
    both = {**SPELLED_OUT, **SIGNS}
    one_each = [replaced(content, String=sign) for sign, content in both.items()]
    back = [replaced(sign, String=content) for sign, content in SIGNS.items()]
    parts = sequence("normalizers", *one_each, *[replaced(" ", String="x")] * 99)
    refuse_growth(of_spec(normalizer=parts, decoder=sequence("decoders", *back)), [])


@pytest.mark.parametrize(
    "pattern",
    [" {2,}", r"\s+", r"[\r\n]+", r"\n|\p{Zs}", "``|''", r"[^a-z\]]{1,3}", "."],
)
def test_patterns_that_need_a_letter_are_known(pattern) -> None:
    parts = sequence("normalizers", *[replaced(" ", Regex=pattern)] * 20)
    refuse_growth(of_spec(normalizer=parts), [])


@pytest.mark.parametrize(
    "pattern",
    [
        "x*",
        "x?",
        "x{0,2}",
        "^",
        r"\b",
        "x|",
        "|x",
        "(?=x)",
        "x||y",
        "x{2}?",
        "[x]*",
        "",
    ],
)
def test_patterns_that_may_need_none_are_not(pattern) -> None:
    parts = sequence("normalizers", *[replaced("x", Regex=pattern)] * 20)
    with pytest.raises(DataError, match="could make text grow"):
        refuse_growth(of_spec(normalizer=parts), [])


BYTES = json.loads(pre_tokenizers.ByteLevel().__getstate__())


GROWING = {
    "one text": of_spec(normalizer=replaced("q" * 1000, String="q")),
    "one after the other": of_spec(
        normalizer=sequence("normalizers", *[replaced("qq", String="q")] * 8)
    ),
    "what another has put in": of_spec(
        normalizer=sequence(
            "normalizers",
            replaced("aaaa", String="q"),
            replaced("b", String="x"),
            replaced("cccc" * 9, String="a"),
        )
    ),
    "sequences in sequences": of_spec(
        normalizer=sequence(
            "normalizers",
            *[sequence("normalizers", *[replaced("qqqq", String="q")] * 2)] * 2,
        )
    ),
    "a pattern that fits between all": of_spec(
        normalizer=replaced("q" * MOST_GROWTH, Regex="x*")
    ),
    "no pattern": of_spec(normalizer=replaced("q" * MOST_GROWTH, String="")),
    "a sign that is many": of_spec(
        normalizer=sequence(
            "normalizers", replaced("\ufdfa" * 8, String="q"), {"type": "NFKC"}
        )
    ),
    "put before": of_spec(normalizer={"type": "Prepend", "prepend": "q" * MOST_GROWTH}),
    "a map": of_spec(normalizer=mapped("a", "q" * (MOST_GROWTH + 1))),
    "bytes of bytes": of_spec(
        pre_tokenizer=sequence(
            "pretokenizers",
            *[BYTES] * 9,
        )
    ),
    "before and while it is split": of_spec(
        normalizer=replaced("q" * 80, String="q"),
        pre_tokenizer={"type": "Metaspace", "replacement": "▁"},
    ),
    "on the way back": of_spec(decoder=replaced("q" * 129, String="q")),
    "spaces between all": of_spec(
        decoder=sequence("decoders", *[{"type": "BPEDecoder", "suffix": ""}] * 8)
    ),
    "spaces before all": of_spec(
        decoder=sequence("decoders", *[{"type": "WordPiece", "prefix": "##"}] * 8)
    ),
}


@pytest.mark.parametrize("kind", GROWING)
def test_what_could_blow_up_text_is_refused(kind) -> None:
    with pytest.raises(DataError, match=r"could make text grow .* times"):
        refuse_growth(GROWING[kind], [])


@pytest.mark.parametrize(
    ("spec", "tokens", "words"),
    [
        (of_spec(normalizer={"type": "Unheard"}), (), "does not know, Unheard"),
        (of_spec(pre_tokenizer={"type": "Unheard"}), (), "pre_tokenizer that"),
        (
            of_spec(decoder=sequence("decoders", *[{"type": "Fuse"}] * 999)),
            (),
            "999 parts",
        ),
        (of_spec(), ("q" * 5000,), "a token of 5000 characters"),
        (of_spec(model={"unk_token": "q" * 99}), (), "its unk_token has more than 64"),
        (of_spec(model={"end_of_word_suffix": "q" * 99}), (), "end_of_word_suffix"),
    ],
)
def test_what_is_not_like_any_tokenizer_is_refused(spec, tokens, words) -> None:
    with pytest.raises(DataError, match=words):
        refuse_growth(spec, tokens)


def test_what_would_be_added_around_a_text_costs_nothing(tmp_path) -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = gpt2_like()
    tokenizer.post_processor = TemplateProcessing(
        single="<|endoftext|>:0 " * 10**5 + "$A",
        special_tokens=[("<|endoftext|>", 256)],
    )
    tokenizer.enable_padding(length=10**9)
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str())
    assert len(Codec.load(path).encode("the fox")) < 9


@pytest.fixture
def panicking(tmp_path) -> Codec:
    """A tokenizer whose pattern takes for ever on some texts."""
    pattern = Regex("((zy)+(zy)+)+yq")
    tokenizer = with_parts(pre_tokenizer=pre_tokenizers.Split(pattern, "isolated"))
    path = tmp_path / "tokenizer.json"
    path.write_text(tokenizer.to_str())
    return Codec.load(path)


def test_a_library_that_panics_on_a_text_is_told_in_a_line(panicking, capfd) -> None:
    assert panicking.encode("the fox")
    with pytest.raises(
        DataError, match=r"tokenizer\.json: breaks down .*retry"
    ) as told:
        panicking.encode("zy" * 60)
    assert "\n" not in str(told.value)
    assert capfd.readouterr().err == ""


def test_a_decoder_that_panics_is_told_in_a_line(tmp_path, capfd) -> None:
    tokenizer = with_parts(decoder=decoders.Replace(Regex("((zy)+(zy)+)+yq"), ""))
    tokenizer.add_tokens(["zy" * 60])
    codec = Codec(tokenizer)
    ids = codec.encode("zy" * 60)
    with pytest.raises(DataError, match="the tokenizer: breaks down on a text"):
        codec.decode(ids)
    stream = codec.stream_decoder()
    with pytest.raises(DataError, match="the tokenizer: breaks down on a text"):
        [stream.push(one) for one in ids]
    assert capfd.readouterr().err == ""


def test_a_pattern_that_is_slow_on_runs_of_a_letter_is_refused(tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    pattern = normalizers.Replace(Regex("(o+)+$"), "x")
    path.write_text(with_parts(normalizer=pattern).to_str())
    with pytest.raises(DataError, match="not a sound tokenizer file"):
        Codec.load(path)
