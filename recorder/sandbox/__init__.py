"""A local Realtime endpoint, for trying things out and for tests.

    script      what is to be answered, with which delays and faults: data
    session     one connection: messages and the time go in, actions come out; the core
    action      what the endpoint does to the connection: send, close, stall …
    agenda      what the session still has to do, and when
    answer      one scripted response; a response is an answer that is being given
    voices      a few short utterances, for the caller and for the assistant
    server      the skin: sockets, keys, tokens; the only module here with a clock

It is faithful where a recorder cares: names, order, times, ids, offsets, errors. It refuses to be
clever: it understands no speech, and says only what its script says.
"""
