"""How the cards of one computer reach each other: NVLink, or PCIe and how far."""

from __future__ import annotations

from typing import Literal

from loratui.core.hardware import GpuLink
from loratui.machine.nvml_calls import CardLost, Nvml
from loratui.machine.nvml_gpu import Card

MOST_LINKS = 18
"""NVLinks of a card: 18 on H100, H200 and B200, 12 on A100, 4 on RTX 3090."""
SWITCH = 2
"""nvmlIntNvLinkDeviceType_t: the link ends in an NVSwitch."""
HOST_BRIDGE = 30
"""nvmlGpuTopologyLevel_t up to which two cards stay below one host bridge."""


def read_links(nvml: Nvml, cards: list[Card], index_of: dict[str, int]) -> tuple[GpuLink, ...]:
    """One GpuLink for each pair of whole cards. `index_of`: Gpu index by UUID."""
    peers: dict[str, dict[str, int]] = {}
    switched: set[str] = set()
    whole = [card for card in cards if card.uuid in index_of]
    for card in whole if len(whole) > 1 else []:
        try:
            peers[card.uuid], on_switch = _nvlinks(nvml, card)
        except CardLost:
            continue
        if on_switch:
            switched.add(card.uuid)
    links = []
    for place, first in enumerate(whole):
        for second in whole[place + 1 :]:
            kind: Literal["nvlink", "pcie", "system"]
            lanes = peers.get(first.uuid, {}).get(second.pci_bus_id.lower(), 0)
            if lanes or {first.uuid, second.uuid} <= switched:
                kind = "nvlink"
            else:
                try:
                    level = nvml.ask("nvmlDeviceGetTopologyCommonAncestor", first.handle, second.handle)
                except CardLost:
                    continue
                if level is None:
                    continue
                kind = "pcie" if level <= HOST_BRIDGE else "system"
            links.append(GpuLink(first=index_of[first.uuid], second=index_of[second.uuid], kind=kind, lanes=lanes))
    return tuple(links)


def _nvlinks(nvml: Nvml, card: Card) -> tuple[dict[str, int], bool]:
    """Active links of a card by the bus id of the other end, and whether any ends in a switch."""
    counts: dict[str, int] = {}
    on_switch = False
    for link in range(MOST_LINKS):
        state = nvml.ask("nvmlDeviceGetNvLinkState", card.handle, link)
        if state is None:
            break
        if not state:
            continue
        if nvml.ask("nvmlDeviceGetNvLinkRemoteDeviceType", card.handle, link) == SWITCH:
            on_switch = True
            continue
        remote = nvml.ask("nvmlDeviceGetNvLinkRemotePciInfo", card.handle, link)
        bus_id = remote.busId.lower() if remote is not None and isinstance(remote.busId, str) else ""
        counts[bus_id] = counts.get(bus_id, 0) + 1
    return counts, on_switch
