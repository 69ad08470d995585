"""From samples to spectra and features; every stage has an oracle in the tests."""
