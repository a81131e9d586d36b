"""A call as one HTML page that opens from disk: what is drawn, its data, its sound.

    for piece in document(call, sound="flac"):
        file.write(piece)

Laws:

1. The page asks nobody for anything: scripts, styles, data and sound stand in it, and its
   Content-Security-Policy lets nothing else in.
2. Nothing of a session is ever markup. Data stands in blocks of JSON in which `<` is escaped;
   the scripts put it on the screen as text only.
3. What is not in a block of data is the same bytes for every session.
4. Memory does not grow with the sound: it goes through a temporary file. Events are written in
   blocks of a few thousand.
5. Without content there is no sound in it, and no shape of one: levels are taken from the
   audio, and `sharing` leaves types, ids, sizes, times and settings. Who spoke, when and for how
   long is drawn as bars instead.
"""

from __future__ import annotations

from .assembling import SOUNDS, blocks, document, shell

__all__ = ["SOUNDS", "blocks", "document", "shell"]
