"""Whole histories of two or three nodes in one thread, from one seed, with every fault the design names.

Real application called as WSGI, real worker rounds, real databases; what is played is the wire, the clocks
and the operators. `python -m tests.simulation --seeds 10000` searches; see `__main__`.

    acts        what may happen, and a history drawn from a seed
    content     the texts that people write
    sites       one node: its files, its process, its clock, and how it crashes
    wire        what is asked between nodes, and what goes wrong with it
    foreign     a server of other software, in this process
    terms       what a site is told
    world       the sites of one history
    stage       one thread, one seed
    acting      carry out an act
    memory      what a site must not forget; looked at after each act
    watching    what must not be in any byte that leaves; looked at when it leaves
    readers     SOC clients that follow a collection
    settling    faults off, until it is quiet
    converged   what must hold then
    history     run one history, and make a failing one short
    searching   many histories, in several processes
    planting    how a fault is planted; `planted_doors` and `planted_rounds` have those that must be found
"""
