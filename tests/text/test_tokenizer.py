import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models

from slangmod.errors import DataError
from slangmod.settings.sections import Settings
from slangmod.text import memory
from slangmod.text.tokenizer import END, Codec, open_codec, tokenizer_path
from tests.text.conftest import ALGORITHMS, HARD, PROSE, learnt
from tests.text.foreign import bert_like, gpt2_like, sentencepiece_like

SPELLED = st.sampled_from([END, "##", "Ġ", " ", "\n", "the", "'s", "é"])
TEXTS = st.one_of(st.text(), st.lists(SPELLED).map("".join))


@pytest.mark.parametrize("algo", ALGORITHMS)
@given(text=TEXTS)
def test_decoding_gives_the_text_again(algo, text) -> None:
    codec = learnt(algo)
    assert codec.decode(codec.encode(text)) == text


@pytest.mark.parametrize("text", [*HARD, PROSE])
def test_hard_texts_come_back_in_every_way(codec, text) -> None:
    again = Codec.from_json(codec.to_json())
    ids = codec.encode(text)
    assert codec.decode(ids) == text
    assert again.encode(text) == ids
    assert again.decode(ids) == text
    library = codec._tokenizer
    assert library.encode(text, add_special_tokens=False).ids == ids
    assert library.decode(ids) == text
    assert codec.byte_lengths()[ids].sum() == len(text.encode())
    assert codec.end not in ids
    assert all(0 <= i < codec.vocab_size for i in ids)


def test_text_that_spells_the_end_symbol_is_text(codec, tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(codec.to_json())
    for each in (codec, Codec.load(path)):
        ids = each.encode(f"a{END}b")
        assert each.end not in ids
        assert each.decode(ids) == f"a{END}b"


def test_the_file_is_one_of_the_library(codec, tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(codec.to_json())
    library = Tokenizer.from_file(str(path))
    assert library.get_vocab_size() == codec.vocab_size
    assert library.token_to_id(END) == codec.end
    assert Codec.load(path).to_json() == codec.to_json()


@pytest.mark.parametrize("remembered", [0, 3, 1000])
@pytest.mark.parametrize("kind", ALGORITHMS)
def test_ids_do_not_depend_on_what_was_encoded_before(
    kind, remembered, monkeypatch
) -> None:
    monkeypatch.setattr(memory, "SEGMENTS", remembered)
    monkeypatch.setattr(memory, "WORDS", remembered)
    codec = Codec.from_json(learnt(kind).to_json())
    for text in [PROSE, *HARD, PROSE[::-1], PROSE]:
        expected = codec._tokenizer.encode(text, add_special_tokens=False).ids
        assert codec.encode(text) == expected


@pytest.mark.parametrize("kind", ALGORITHMS)
@given(texts=st.lists(TEXTS, max_size=3))
def test_ids_are_those_of_the_library(kind: str, texts: list[str]) -> None:
    codec = learnt(kind)
    for text, ids in zip(texts, codec.encode_batch(texts), strict=True):
        library = codec._tokenizer.encode(text, add_special_tokens=False)
        assert ids.tolist() == library.ids


def test_a_batch_is_its_texts_one_by_one(codec) -> None:
    batch = codec.encode_batch(HARD)
    assert [ids.tolist() for ids in batch] == [codec.encode(text) for text in HARD]
    assert all(ids.dtype == codec.dtype == "uint16" for ids in batch)


def test_the_end_symbol_decodes_to_its_string() -> None:
    codec = Codec.from_json(learnt("bpe").to_json(), eos_string="<over>")
    ids = [*codec.encode("one"), codec.end, *codec.encode("two"), codec.end]
    assert codec.decode(ids) == "one<over>two<over>"
    assert codec.byte_lengths()[codec.end] == 0


@given(text=st.text())
def test_streamed_text_is_whole_characters(text) -> None:
    codec = learnt("byte")
    stream = codec.stream_decoder()
    given_out = ""
    for token in codec.encode(text):
        given_out += stream.push(token)
        assert text.startswith(given_out)
    assert given_out + stream.finish() == text


@given(st.lists(st.integers(0, 256)))
def test_any_ids_decode_to_text(ids) -> None:
    codec = learnt("byte")
    text = codec.decode(ids)
    content = b"".join(b"\n\n" if i == 256 else bytes([i]) for i in ids)
    if content.isascii() or 256 not in ids:
        assert text == content.decode("utf-8", "replace")
    assert text.count("\ufffd") <= len(ids)


def test_a_broken_character_ends_with_its_document() -> None:
    codec = learnt("byte")
    assert codec.decode([0xC3, codec.end, 0xA9]) == "\ufffd\n\n\ufffd"


def test_lone_surrogates_are_encoded_as_the_replacement_character() -> None:
    codec = learnt("bpe")
    assert codec.decode(codec.encode("a\udc80b")) == "a\ufffdb"


def test_dtype_holds_every_id() -> None:
    vocab = {f"t{i}": i for i in range(70_000)} | {END: 70_000}
    codec = Codec(Tokenizer(models.WordLevel(vocab, unk_token="t0")))
    assert codec.dtype == "uint32"
    assert codec.encode_batch(["t69999"])[0].tolist() == [69_999]


# -- tokenizers that others have made --------------------------------------------------


def test_word_by_word_decoding_streams_to_the_same_text() -> None:
    codec = Codec(bert_like())
    ids = codec.encode("The quicker fox.")
    assert ids == [3, 4, 5, 6, 7]
    assert codec.decode(ids) == "the quicker fox."
    assert codec.decode([*ids, codec.end, *ids]) == (
        "the quicker fox.\n\nthe quicker fox."
    )
    assert codec.byte_lengths().tolist() == [0, 0, 0, 3, 5, 2, 3, 1]


def test_a_tokenizer_with_spaces_of_its_own_decodes_alike() -> None:
    codec = Codec(sentencepiece_like())
    assert not codec.segmented
    ids = codec.encode("the fox")
    assert codec.decode(ids) == "the fox"
    assert codec.byte_lengths()[ids].tolist() == [4, 4]
    assert codec.end == 1


def test_a_byte_level_tokenizer_of_others_is_exact() -> None:
    codec = Codec(gpt2_like())
    assert not codec.segmented
    for text in HARD:
        ids = codec.encode(text)
        assert codec.decode(ids) == text
        assert codec.byte_lengths()[ids].sum() == len(text.encode())


def test_added_words_that_are_not_special_keep_their_bytes() -> None:
    tokenizer = gpt2_like()
    tokenizer.add_tokens(["<über>"])
    codec = Codec(tokenizer)
    ids = codec.encode("a<über>b")
    assert codec.decode(ids) == "a<über>b"
    assert codec.byte_lengths()[ids].sum() == 9


def test_dropout_in_a_file_is_left_out_of_use() -> None:
    content = json.loads(learnt("bpe").to_json())
    content["model"]["dropout"] = 0.9
    codec = Codec.from_json(json.dumps(content))
    assert codec.encode(PROSE) == learnt("bpe").encode(PROSE)


WORDS = Tokenizer(models.WordLevel({END: 7}, END)).to_str()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "EOF"),
        ("{", "EOF"),
        ("{}", "Model missing"),
        ('{"version": "1.0"}', "Model missing"),
        (WORDS.replace(END, "a"), "no end symbol"),
        (WORDS.replace("7", str(1 << 30)), "ids up to"),
        (Tokenizer(models.WordLevel({}, END)).to_str(), "Missing [UNK]"),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path, content, words) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(DataError) as caught:
        Codec.load(path)
    (problem,) = caught.value.problems
    assert str(path) in problem
    assert words in problem
    assert "\n" not in problem


def test_a_missing_or_binary_file_is_named(tmp_path) -> None:
    with pytest.raises(DataError, match=r"there is no tokenizer; run `slangmod tok"):
        Codec.load(tmp_path / "tokenizer.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        Codec.load(tmp_path / "binary.json")
    with pytest.raises(DataError, match="Is a directory"):
        Codec.load(tmp_path)


def settings_for(tmp_path, **files):
    return Settings.model_validate(
        {"workdir": str(tmp_path), "files": files, "tokens": {"eos_string": "<over>"}}
    )


def test_the_file_is_named_by_settings_or_by_hash(tmp_path) -> None:
    assert tokenizer_path(settings_for(tmp_path, tokenizer="x/y.json")).as_posix() == (
        "x/y.json"
    )
    name = tokenizer_path(settings_for(tmp_path)).name
    assert name.startswith("tokenizer-")
    assert len(name) == len("tokenizer-12345678.json")


def test_a_foreign_file_is_opened_with_the_settings_of_this_run(tmp_path) -> None:
    path = tmp_path / "theirs.json"
    bert_like().save(str(path))
    codec = open_codec(settings_for(tmp_path, tokenizer=str(path)))
    assert codec.decode([3, codec.end]) == "the<over>"


MUTATIONS = (
    ('"merges": [', '"merges": [["zz", "yy"],'),
    ('"type": "BPE"', '"type": "Nonsense"'),
    ('"type": "BPE"', '"type": "Unigram"'),
    ('"Regex": "', '"Regex": "((('),
    ('"id": 256', '"id": -1'),
    ('"id": 256', '"id": 99999999999999999999'),
)


@pytest.mark.parametrize(("old", "new"), MUTATIONS)
def test_damaged_files_never_take_the_process_along(tmp_path, old, new, capfd) -> None:
    content = learnt("bpe").to_json()
    assert old in content
    path = tmp_path / "theirs.json"
    path.write_text(content.replace(old, new, 1))
    with pytest.raises(DataError, match=r"theirs\.json: ") as caught:
        open_codec(settings_for(tmp_path, tokenizer=str(path)))
    assert len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr().err == ""


def test_byte_lengths_are_whole_numbers_for_each_id(codec) -> None:
    lengths = codec.byte_lengths()
    assert lengths.dtype == np.int64
    assert lengths.shape == (codec.vocab_size,)
    assert (lengths[:256] == 1).all()


@pytest.mark.parametrize("letters", ["a", "中", "a1", "'s", "#!", "fox中", "é1\u0301"])
def test_ids_of_pieces_of_a_long_stretch_are_those_of_the_whole(codec, letters) -> None:
    text = letters * 2000
    parts = list(codec.pieces(text, 1))
    assert len(parts) > 3
    assert [token for part in parts for token in codec.encode(part)] == codec.encode(
        text
    )


def test_text_is_in_one_piece_for_a_tokenizer_that_splits_otherwise() -> None:
    codec = Codec(sentencepiece_like())
    assert list(codec.pieces("the fox " * 999, 1)) == ["the fox " * 999]
