"""Sound and jobs: separation, models, queue and journal. Knows no editor and no protocol."""
