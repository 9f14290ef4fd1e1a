"""The tokenizer and the text encoder, both of Qwen3's classes, at the size of a few hundred words."""

from collections.abc import Iterable, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3Model

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
VOCABULARY = 2048
WIDTH = 128
CHAT_TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"


def new_tokenizer(captions: Iterable[str]) -> PreTrainedTokenizerFast:
    """Byte-level BPE, blind to case, accents and control characters; any text has tokens."""
    draft = Tokenizer(models.BPE())
    draft.normalizer = normalizers.Sequence(
        [
            normalizers.NFKD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"[\p{Cc}\p{Cf}\s]+"), " "),
        ]
    )
    draft.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Punctuation(), pre_tokenizers.ByteLevel(add_prefix_space=True)]
    )
    draft.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    draft.train_from_iterator(captions, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=draft,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        model_max_length=512,
        padding_side="right",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_text_encoder(tokenizer: PreTrainedTokenizerFast) -> Qwen3Model:
    """Three layers. Z-Image reads the states before the last one, so two of them think."""
    return Qwen3Model(
        Qwen3Config(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            head_dim=WIDTH // 4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def tokenize(tokenizer: PreTrainedTokenizerFast, captions: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    """Token ids, int64 (batch, length), and which of them are real, bool of that shape; longer captions are cut."""
    texts = [
        tokenizer.apply_chat_template([{"role": "user", "content": caption}], tokenize=False) for caption in captions
    ]
    encoded = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    return encoded.input_ids, encoded.attention_mask.bool()


def encode(text_encoder: Qwen3Model, ids: Tensor, real: Tensor) -> Tensor:
    """What Z-Image's pipeline reads of a caption: float (batch, length, WIDTH)."""
    states = text_encoder(input_ids=ids, attention_mask=real, output_hidden_states=True, use_cache=False).hidden_states
    return states[-2]


def padded_length(tokenizer: PreTrainedTokenizerFast, caption: str) -> int:
    """What the transformer pads a caption to: the next multiple of 32."""
    message = [{"role": "user", "content": caption}]
    tokens = len(tokenizer(tokenizer.apply_chat_template(message, tokenize=False)).input_ids)
    return -(-tokens // 32) * 32
