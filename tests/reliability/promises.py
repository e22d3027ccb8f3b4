"""What slangmod promises of its reliability: a sentence each, and what proves it."""

PROMISES = {
    "R1": "A kill at any instant costs at most the steps since the last checkpoint; "
    "the resumed run ends with the same bits.",
    "R2": "Any system call of a save may fail or be the last: the old checkpoint is "
    "there or the new one.",
    "R3": "When power fails, what was not synced may vanish: a checkpoint loads, the "
    "old or the new.",
    "R4": "Resumed at any step, a run ends with the bits of the uninterrupted one.",
    "R5": "So does a run that is resumed many times over.",
    "R7": "What is not as it was written is noticed, and the next older checkpoint is "
    "taken.",
    "R8": "A signal ends the run at the next step with a checkpoint, and with the exit "
    "code that says so.",
    "R9": "A full disk ends no run: saving and logging are tried again.",
    "R10": "What is not finite never reaches the weights, and the mini-batch is kept "
    "to be looked at.",
    "R11": "A spike of the loss is reported, and where that is asked for, gone back "
    "from; a clean run gives no alarm.",
    "R12": "A run folder has one writer; readers never see half a checkpoint.",
    "R13": "Changed settings, data or tokenizer are refused, each named.",
    "R14": "Token shards that are not as they were written are noticed.",
    "R15": "Encoding can be killed at any instant, and gives the same files for any "
    "number of processes.",
    "R16": "A step that hangs is told, with where the program stands.",
    "R17": "No file that is read can run code, end the program, or exhaust memory.",
    "R18": "No name and no link leads out of the working directory.",
    "R19": "Nothing that a model or a file says reaches terminal or log raw.",
    "R20": "Equal settings give equal bits on the same machine; a change of numerics "
    "shows as a changed file of losses.",
    "Matrix": "Whatever is wrong with the input is told in one line, with exit code 2, "
    "and nothing is written.",
}
