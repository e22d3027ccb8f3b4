"""Tokenizers as others make them."""

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from tests.text.conftest import learnt


def bert_like() -> Tokenizer:
    words = ["[UNK]", "[CLS]", "[SEP]", "the", "quick", "##er", "fox", "."]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]"])
    return tokenizer


def sentencepiece_like() -> Tokenizer:
    pieces = [("<unk>", 0.0), ("</s>", 0.0), ("▁the", -1.0), ("▁fox", -2.0)]
    pieces += [(c, -5.0) for c in "▁thefox."]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<unk>", "</s>"])
    return tokenizer


def gpt2_like() -> Tokenizer:
    tokenizer = Tokenizer.from_str(learnt("bpe").to_json())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=50)
    return tokenizer
