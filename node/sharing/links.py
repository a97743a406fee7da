"""Links: what follows for our node from the agreements, one link for each flow, partner and direction.

Rule    The agreement says what may cross; the binding says where the partner is and where things lie
        here, and may only tighten (`Stricter`). Nothing else makes a link, so nothing else can make
        something cross. A flow that two agreements both carry has two answers and is refused.

Reads and writes nothing; `config.py` supplies the bindings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from node.errors import UsageError
from node.sharing.agreements import Agreement, Flow
from node.sharing.bindings import PartnerBinding, PartnerKind, Stricter
from node.sharing.tables import Problem, nearest, refuse
from node.stix.markings import NO_TLP, TLP

__all__ = [
    "Direction",
    "Link",
    "Parties",
    "PartnerBinding",
    "PartnerKind",
    "Stricter",
    "Terms",
    "derive_links",
    "find_links",
    "parties_of",
]

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class Terms:
    """Exactly what decisions read of one flow, with our stricter limits worked in (out only).

    Args:
        agreement, revision, flow: For the sentences that people read; no decision depends on them.
        starts, ends: Microseconds; the end itself is outside.
        unmarked: The level that an object without TLP counts as; None withholds it.
    """

    agreement: str
    revision: int
    flow: str
    starts: int
    ends: int
    types: tuple[str, ...]
    max_tlp: TLP
    unmarked: TLP | None
    either_may_edit: bool


@dataclass(frozen=True, slots=True)
class Link:
    """One flow of one partner in one direction, as our node sees it.

    Args:
        name: `partner/flow/in` or `partner/flow/out`.
        flow: The collection's name in the agreement.
        collection: Alias of our collection.
        remote: The partner's id for the collection; None where it has the same fixed id as ours.
        carrier: Who acts: `us` pulls (in) or pushes (out), `them` brings or fetches.
        paused: What the configuration says of the partner; the store keeps its own state besides.
        public_objects: In-links: the partner may bring objects of public identities.
        sibling_terms: Terms of all out-flows to that partner, this one included.
        onward: In-links: third parties to which we may pass what comes by this flow.
        granted_by: Out-links: (partner, flow) of every in-flow that may be passed on to this partner.
        terms_digest: Of the agreement; compared with the partner's.
        policy_digest: Of what this link's decisions read, and of nothing else.
        stricter: Our own brakes; how much may come in a day decides nothing about one object, so it is not
            in the policy digest.
        urgent_labels: In lower case: what bears one of them leaves first. It decides nothing either.
    """

    name: str
    partner: str
    partner_kind: PartnerKind
    direction: Direction
    flow: str
    collection: str
    remote: str | None
    carrier: Literal["us", "them"]
    every_seconds: int
    keep_days: int
    audience: tuple[str, ...]
    paused: bool
    public_objects: bool
    terms: Terms
    sibling_terms: tuple[Terms, ...]
    onward: tuple[str, ...]
    granted_by: tuple[tuple[str, str], ...]
    agreement_title: str
    terms_digest: bytes
    policy_digest: bytes
    stricter: Stricter
    urgent_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parties:
    """Who speaks for which identity.

    Args:
        ours: Identities that are ours, from the configuration and the agreements.
        partners: Partner name -> the identities it speaks for.
        public: Identities whose objects belong to nobody.
    """

    ours: frozenset[str]
    partners: Mapping[str, frozenset[str]]
    public: frozenset[str]

    def claimant(self, identity: str | None) -> str | None:
        """`local`, a partner's name, "" for a public identity, or None when nobody claims it."""
        if identity is None:
            return None
        if identity in self.ours:
            return "local"
        for partner, identities in self.partners.items():
            if identity in identities:
                return partner
        return "" if identity in self.public else None


def parties_of(
    us: str, bindings: Sequence[PartnerBinding], identities: Iterable[str], public: Iterable[str]
) -> Parties:
    """Who speaks for which identity, over all agreements, in force or not: ownership outlives them.

    Args:
        us: Our name in the agreements.
        identities: Identities that are ours beside those of the agreements.
        public: Identities whose objects belong to nobody.

    Raises:
        ConfigError: An identity that two parties claim, or that is public and claimed.
    """
    claims: dict[str, set[str]] = {us: set(identities)}
    for binding in bindings:
        for agreement in binding.agreements:
            for party in {us, binding.name} & set(agreement.parties):
                claims.setdefault(party, set()).update(agreement.parties[party].speaks_for)
    owners: dict[str, str] = {}
    problems: list[Problem] = []
    claimed = [(identity, party) for party, each in claims.items() for identity in each]
    # Hex digits may be written in either case, and one identity must have one owner.
    for identity, party in sorted(claimed) + sorted((each, "public_identities") for each in set(public)):
        other = owners.setdefault(identity.casefold(), party)
        if other != party:
            text = f"{other} and {party} both claim it"
            problems.append(Problem(identity, text, "Leave it with one, in the agreement or in config.toml."))
    refuse(problems)
    partners = {name: frozenset(claims[name]) for name in sorted(claims) if name != us}
    return Parties(ours=frozenset(claims[us]), partners=partners, public=frozenset(public))


def derive_links(us: str, bindings: Sequence[PartnerBinding], parties: Parties) -> tuple[Link, ...]:
    """All links of our node, sorted by name.

    Args:
        us: Our name in the agreements.
        bindings: One for each partner.
        parties: From `parties_of`; ingress reads it, so it is part of the policy of in-links.

    Raises:
        ConfigError: An agreement that does not name us or the partner, two files for one agreement
            id, a second flow for one (partner, collection, direction), or a binding for a flow that
            no agreement has.
    """
    problems: list[Problem] = []
    _check_agreements(us, bindings, problems)
    refuse(problems)
    granted = _grants(bindings)
    links: list[Link] = []
    for binding in bindings:
        found = [
            _link(us, binding, agreement, flow, direction)
            for agreement in binding.agreements
            for flow in agreement.flows
            for direction, giver in _directions(us, binding.name)
            if giver in flow.givers
        ]
        _check_links(binding, found, problems)
        siblings = tuple(link.terms for link in sorted(found, key=_by_name) if link.direction == "out")
        links += [_completed(link, siblings, granted.get(binding.name, ()), parties) for link in found]
    refuse(problems)
    return tuple(sorted(links, key=_by_name))


def find_links(links: Iterable[Link], text: str) -> list[Link]:
    """The links that an operator means by `south`, `south/indicators` or `south/indicators/in`.

    Raises:
        UsageError: No link is called that; the names that exist are in the remedy.
    """
    wanted = text.split("/")
    known = list(links)
    found = [link for link in known if link.name.split("/")[: len(wanted)] == wanted]
    if found:
        return found
    names = ", ".join(link.name for link in known)
    remedy = (
        f"The links here are {names}." if names else "Name an agreement under [partner.NAME] in config.toml."
    )
    raise UsageError(f"There is no link {text!r}.", remedy=remedy)


def _directions(us: str, partner: str) -> tuple[tuple[Direction, str], ...]:
    return (("in", partner), ("out", us))


def _by_name(link: Link) -> str:
    return link.name


def _check_agreements(us: str, bindings: Sequence[PartnerBinding], problems: list[Problem]) -> None:
    seen: dict[str, bytes] = {}
    for binding in bindings:
        for agreement in binding.agreements:
            where = f"[partner.{binding.name}] agreements"
            for party in (us, binding.name):
                if party not in agreement.parties:
                    named = ", ".join(agreement.parties)
                    text = f"{agreement.id} does not name {party}; its parties are {named}"
                    remedy = (
                        "Use the names of the agreement, for [node] name and [partner.NAME], or take it out."
                    )
                    problems.append(Problem(where, text, remedy))
            if seen.setdefault(agreement.id, agreement.terms_digest) != agreement.terms_digest:
                text = f"two different files are both called {agreement.id}"
                problems.append(Problem(where, text, "Keep the one that all parties signed."))


def _check_links(binding: PartnerBinding, found: Sequence[Link], problems: list[Problem]) -> None:
    where = f"[partner.{binding.name}]"
    first: dict[tuple[str, str, str], Link] = {}
    for link in found:
        keys = [("flow", link.flow), ("collection", link.collection)]
        if link.remote is not None:
            keys.append(("their collection", link.remote))
        for kind, key in keys:
            other = first.setdefault((kind, key, link.direction), link)
            if other is not link:
                text = (
                    f"{kind} {key} has two flows {link.direction}: {other.flow} of {other.terms.agreement} "
                    f"and {link.flow} of {link.terms.agreement}"
                )
                problems.append(Problem(where, text, "Let one flow of one agreement carry it."))
                break
    if binding.agreements:
        incoming = {link.flow for link in found if link.direction == "in"}
        for table, written, flows in (
            ("store_in", binding.store_in, incoming),
            ("their_ids", binding.their_ids, {link.flow for link in found}),
        ):
            for flow in sorted(set(written) - flows):
                guess = nearest(flow, flows)
                remedy = f"Did you mean {guess}?" if guess else f"The flows are {', '.join(sorted(flows))}."
                text = "no agreement with this partner has such a flow"
                problems.append(Problem(f"[partner.{binding.name}.{table}] {flow}", text, remedy))


def _grants(bindings: Sequence[PartnerBinding]) -> dict[str, tuple[tuple[str, str], ...]]:
    """Third party -> the (partner, flow) whose terms let us pass on to it."""
    granted: dict[str, list[tuple[str, str]]] = {}
    for binding in bindings:
        for agreement in binding.agreements:
            for flow in agreement.flows:
                for third in flow.onward if binding.name in flow.givers else ():
                    granted.setdefault(third, []).append((binding.name, flow.collection))
    return {third: tuple(sorted(pairs)) for third, pairs in granted.items()}


def _link(us: str, binding: PartnerBinding, agreement: Agreement, flow: Flow, direction: Direction) -> Link:
    """The link but for what depends on the partner's other links: see `_completed`."""
    out = direction == "out"
    giver = us if out else binding.name
    stricter = binding.stricter
    terms = Terms(
        agreement=agreement.id,
        revision=agreement.revision,
        flow=flow.collection,
        starts=agreement.starts,
        ends=agreement.ends,
        types=flow.types,
        max_tlp=min(flow.max_tlp, stricter.max_tlp_out) if out else flow.max_tlp,
        unmarked=flow.unmarked,
        either_may_edit=flow.either_may_edit,
    )
    return Link(
        name=f"{binding.name}/{flow.collection}/{direction}",
        partner=binding.name,
        partner_kind=binding.kind,
        direction=direction,
        flow=flow.collection,
        collection=flow.collection if out else binding.store_in.get(flow.collection, flow.collection),
        remote=binding.their_ids.get(flow.collection),
        # A pull is the receiver's act and a push the giver's.
        carrier="us" if (flow.carry[giver] == "push") == out else "them",
        every_seconds=flow.every_seconds,
        keep_days=flow.keep_days,
        audience=flow.audience,
        paused=binding.paused,
        public_objects=not out and stricter.public_objects == "accept",
        terms=terms,
        sibling_terms=(),
        onward=() if out else flow.onward,
        granted_by=(),
        agreement_title=agreement.title,
        terms_digest=agreement.terms_digest,
        policy_digest=b"",
        stricter=stricter,
        urgent_labels=flow.urgent_labels,
    )


def _completed(
    link: Link, siblings: tuple[Terms, ...], granted: tuple[tuple[str, str], ...], parties: Parties
) -> Link:
    if link.direction == "out":
        link = replace(link, sibling_terms=siblings, granted_by=granted)
    return replace(link, policy_digest=_policy_digest(link, parties))


def _policy_digest(link: Link, parties: Parties) -> bytes:
    # What is left out matters as much as what is in: a change here judges everything again, and for
    # an in-link lists the partner's whole collection again. Audience, retention, carrier, duty desk
    # and revision decide nothing about an object, so they are not in it.
    terms = link.terms
    policy: dict[str, object] = {
        "direction": link.direction,
        "starts": terms.starts,
        "ends": terms.ends,
        "types": terms.types,
        "max_tlp": int(terms.max_tlp),
        "public": sorted(parties.public),
    }
    if link.direction == "out":
        policy["unmarked"] = _level(terms.unmarked)
        policy["siblings"] = sorted(
            [list(each.types), int(each.max_tlp), _level(each.unmarked)] for each in link.sibling_terms
        )
        policy["granted_by"] = link.granted_by
    else:
        policy["either_may_edit"] = terms.either_may_edit
        policy["public_objects"] = link.public_objects
        policy["ours"] = sorted(parties.ours)
        policy["partners"] = {name: sorted(each) for name, each in parties.partners.items()}
    return hashlib.sha256(b"stixnode policy 1\n" + msgspec.json.encode(policy, order="sorted")).digest()


def _level(unmarked: TLP | None) -> int:
    return NO_TLP if unmarked is None else int(unmarked)
