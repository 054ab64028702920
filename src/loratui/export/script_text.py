"""The fixed parts of the exported scripts. What a reader of such a script needs to know stands in it as a comment."""

from __future__ import annotations

LOAD_TOKENIZER = """
set_seed(SEED)
tokenizer = AutoTokenizer.from_pretrained(MODEL, revision=REVISION, trust_remote_code=TRUST_REMOTE_CODE)
"""

ROWS = '''
if CHAT_TEMPLATE:
    with open(CHAT_TEMPLATE, encoding="utf-8") as file:
        tokenizer.chat_template = file.read()
if tokenizer.pad_token is None:
    tokenizer.pad_token = tokenizer.eos_token
tokenizer.padding_side = "right"


def render(row, messages, prompt=False):
    """The text of some messages; with `prompt`, up to where the model is to answer."""
    extra = dict(row.get("chat_template_kwargs") or {})
    if row.get("tools"):
        extra["tools"] = row["tools"]
    plain = [{key: value for key, value in message.items() if key != "train"} for message in messages]
    return tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=prompt, **extra)


def answers_of(row, whole):
    """Where the answers lie in the rendered text: from where the model begins to write up to its stop token."""
    for number, message in enumerate(row["messages"]):
        if message["role"] != "assistant" or message.get("train") is False:
            continue
        before = render(row, row["messages"][:number], prompt=True)
        through = render(row, row["messages"][: number + 1])
        if not whole.startswith(before) or not whole.startswith(through.rstrip()):
            raise SystemExit("The chat template rewrites earlier turns once more follow; this script cannot mask it.")
        yield len(before), len(through.rstrip())


def tokenise(row):
    """Token ids and labels of a row, cut at MAX_LENGTH; -100 bears no loss."""
    if "input_ids" in row:
        ids, labels = row["input_ids"], row.get("labels") or row["input_ids"]
    else:
        if "text" in row:
            text = row["text"] + ("" if row["text"].endswith(tokenizer.eos_token or "") else tokenizer.eos_token)
            bos = tokenizer.bos_token if tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id] else None
            if bos and not text.startswith(bos):
                text = bos + text
            spans = [(0, len(text))]
        else:
            text = render(row, row["messages"])
            spans = [(0, len(text))] if LOSS_ON == "all" else list(answers_of(row, text))
        encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        ids = encoded["input_ids"]
        labels = [
            token if any(start < last and first < end for first, last in spans) else -100
            for token, (start, end) in zip(ids, encoded["offset_mapping"])
        ]
    return {"input_ids": ids[:MAX_LENGTH], "labels": labels[:MAX_LENGTH], "attention_mask": [1] * len(ids[:MAX_LENGTH])}


def read(path):
    """Every row of a file that has something to learn from."""
    with open(path, encoding="utf-8") as file:
        rows = [tokenise(json.loads(line)) for line in file if line.strip()]
    return [row for row in rows if any(label != -100 for label in row["labels"][1:])]

'''

LOAD_MODEL = """\
model = AutoModelForCausalLM.from_pretrained(
    MODEL,
    revision=REVISION,
    trust_remote_code=TRUST_REMOTE_CODE,
    dtype=DTYPE,
    attn_implementation=ATTENTION,
    use_safetensors=True,
    quantization_config=QUANTIZATION,
    device_map={"": 0} if torch.cuda.is_available() else None if QUANTIZATION is None else {"": "cpu"},
)
"""

PLAIN_MODEL = f"\n{LOAD_MODEL}model.config.use_cache = False\n"

PEFT_ADAPTER = """
CONTINUED = "{continued}"  # folder of an adapter that is trained further; empty: a new one
if CONTINUED:
    model = PeftModel.from_pretrained(model, CONTINUED, is_trainable=True)
else:
    model = get_peft_model(model, LoraConfig({lora}))
model.enable_input_require_grads()  # checkpointing needs an input with a gradient
if QUANTIZATION is not None:
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)  # as TRL does on a quantised base
model.print_trainable_parameters()
"""

FULL_WEIGHTS = """
print(f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters, all of them trained")
"""

EARLY_STOPPING = "    callbacks=[EarlyStoppingCallback(early_stopping_patience={patience})],\n"

PLAIN_TRAINER = """
arguments = {arguments}
trainer = Trainer(
    model=model,
    args=TrainingArguments(**arguments, use_cpu=not torch.cuda.is_available(), remove_unused_columns=False),
    train_dataset=read(TRAIN_ROWS),
    eval_dataset=read(TEST_ROWS) if TEST_ROWS else None,
    data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
    processing_class=tokenizer,
{callbacks})
trainer.train()
trainer.save_model()
"""

UNSLOTH_MODEL = """
model, tokenizer = FastLanguageModel.from_pretrained(
    model_name=MODEL,
    revision=REVISION,
    max_seq_length=MAX_LENGTH,
    dtype=DTYPE,
    load_in_4bit=LOAD_IN_4BIT,
    load_in_8bit=LOAD_IN_8BIT,
    full_finetuning=FULL,
    trust_remote_code=TRUST_REMOTE_CODE,
)
"""

UNSLOTH_TRAINER = """
from datasets import Dataset

arguments = {arguments}
trainer = SFTTrainer(
    model=model,
    processing_class=tokenizer,
    args=SFTConfig(**arguments, max_length=None, dataset_kwargs={{"skip_prepare_dataset": True}}),
    train_dataset=Dataset.from_list(read(TRAIN_ROWS)),
    eval_dataset=Dataset.from_list(read(TEST_ROWS)) if TEST_ROWS else None,
    data_collator=DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100),
)
trainer.train()
trainer.save_model()
"""
