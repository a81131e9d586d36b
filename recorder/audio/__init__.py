"""Sound as numbers: formats, codecs, levels, resampling, sound files.

Knows nothing of events or sessions. Positions are counted in samples; `AudioFormat.ns` turns
a count into time once, at the end, so that nothing drifts.
"""
