"""Audio files, spectrograms and masks: separation itself, whatever the model."""
