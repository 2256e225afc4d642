"""Writes a model of 4 MB in llama.cpp's format, whose next word depends on the last one alone and otherwise on chance.

Usage: tiny_model.py short|endless|tools FILE     (needs the packages gguf and numpy)

It has one layer, of zeros, so that what follows a token is a row of the output matrix: `short` ends after some words, one of which is an
emoji in four tokens; `endless` goes on until its context is full; `tools` begins with a tool call, whose arguments a grammar must shape.
"""
import sys

import gguf
import numpy as np

WORDS = "▁the ▁a ▁river ▁sky ▁is ▁blue ▁Hello Grüß ▁你好 ▁Oslo .".split()
EMOJI = "👋".encode()
END, BYTES = 4, 5  # the id of the end of a turn, and of the first of 256 bytes
TEMPLATE = (
    "{%- if tools %}{{- '<|im_start|>system\n<tools>' }}{%- for tool in tools %}{{- tool | tojson }}{%- endfor %}"
    "{{- '</tools>\n<tool_call>\n{\"name\": ..., \"arguments\": ...}\n</tool_call><|im_end|>\n' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.tool_calls %}{%- for call in message.tool_calls %}{{- '<tool_call>\n{\"name\": \"' + call.function.name"
    " + '\", \"arguments\": ' + (call.function.arguments | tojson) + '}\n</tool_call>' }}{%- endfor %}"
    "{%- elif message.role == 'tool' %}{{- '<tool_response>\n' + message.content + '\n</tool_response>' }}"
    "{%- else %}{{- message.content or '' }}{%- endif %}{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)


def vocabulary():
    """Returns the tokens, with their types: text, then what SentencePiece calls unknown, control, user-defined, byte."""
    text, unknown, control, user, byte = 1, 2, 3, 4, 6
    tokens = [("<unk>", unknown), ("<s>", control), ("</s>", control), ("<|im_start|>", control), ("<|im_end|>", control)]
    tokens += [(f"<0x{x:02X}>", byte) for x in range(256)]
    letters = [chr(x) for x in range(33, 127)] + ["▁"]
    tokens += [(x, text) for x in letters + [x for x in WORDS if x not in letters]]
    return tokens + [("<tool_call>", user), ("</tool_call>", user)]


def next_token_logits(kind, ids):
    """Returns a matrix: the logit of each token after each."""
    count, newline = len(ids), BYTES + ord("\n")
    logits = np.full((count, count), -12.0)
    logits[:, : BYTES + 256] = -30
    logits[:, [ids[x] for x in WORDS]] = 0
    logits[:, END] = -30 if kind == "endless" else 0.3
    logits[newline, END] = -30  # no empty answers
    for x in range(33, 127):  # what a grammar asks for
        if chr(x) not in WORDS:
            logits[:, ids[chr(x)]] = -6
    logits[[ids[x] for x in WORDS], ids['"']] = -1.5
    logits[:, BYTES + EMOJI[0]] = 0.5
    for first, second in zip(EMOJI, EMOJI[1:]):
        logits[BYTES + first] = -30
        logits[BYTES + first, BYTES + second] = 10
    call, end_of_call = ids["<tool_call>"], ids["</tool_call>"]
    if kind == "tools":
        logits[newline, call] = logits[call, newline] = 15
        logits[end_of_call, END] = logits[end_of_call, call] = 4
    return logits


def write(kind, path):
    tokens = vocabulary()
    ids = {token: i for i, (token, _) in enumerate(tokens)}
    width, heads = 384, 4  # the width holds each token as a direction of its own
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(16384)
    out.add_embedding_length(width)
    out.add_block_count(1)
    out.add_feed_forward_length(64)
    out.add_head_count(heads)
    out.add_head_count_kv(heads)
    out.add_rope_dimension_count(width // heads)
    out.add_layer_norm_rms_eps(1e-6)
    out.add_vocab_size(len(tokens))
    out.add_file_type(0)
    out.add_tokenizer_model("llama")
    out.add_token_list([token.encode() for token, _ in tokens])
    out.add_token_scores([-float(i) for i in range(len(tokens))])
    out.add_token_types([kind for _, kind in tokens])
    out.add_bos_token_id(1)
    out.add_eos_token_id(END)
    out.add_unk_token_id(0)
    out.add_add_bos_token(True)
    out.add_add_space_prefix(False)
    out.add_chat_template(TEMPLATE)

    def add(name, values):
        out.add_tensor(name, values.astype(np.float32))

    matrix = np.zeros((len(tokens), width))
    matrix[:, : len(tokens)] = next_token_logits(kind, ids).T / np.sqrt(width)  # the norm makes a direction sqrt(width) long
    add("token_embd.weight", np.eye(len(tokens), width))
    add("output.weight", matrix)
    for name in ("output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"):
        add(name + ".weight", np.ones(width))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        add(f"blk.0.{name}.weight", np.zeros((width, width)))
    for name, shape in (("ffn_gate", (64, width)), ("ffn_up", (64, width)), ("ffn_down", (width, 64))):
        add(f"blk.0.{name}.weight", np.zeros(shape))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


if len(sys.argv) != 3 or sys.argv[1] not in ("short", "endless", "tools"):
    sys.exit(__doc__)
write(*sys.argv[1:])
