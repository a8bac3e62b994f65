"""Personal data: what opens a hash, who looked, who agreed; exported and erased by person."""
