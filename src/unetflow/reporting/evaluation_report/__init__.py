"""One HTML page that tells people how good a model is, where it errs and what to do next."""
