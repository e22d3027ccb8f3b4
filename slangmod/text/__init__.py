"""Raw documents, cleaning, the corpus on disk, and the tokenizers learnt from it."""
