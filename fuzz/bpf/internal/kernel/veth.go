package kernel

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// Queues is how many receive queues the interfaces of AddPair have.
const Queues = 8

// Pair is the indices of interfaces whose ends are joined.
type Pair struct{ First, Last int }

// AddPair adds a pair of interfaces to the calling thread's network namespace, which
// has to be the caller's own. They are down, and go with the namespace. In a
// namespace of Isolate they have indices 2 and 3.
func AddPair() (Pair, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumTxQueues, attrs.NumRxQueues = "fuzz0", Queues, Queues
	const peer = "fuzz1"
	err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: peer, PeerNumTxQueues: Queues, PeerNumRxQueues: Queues})
	if err != nil {
		return Pair{}, fmt.Errorf("adding a pair of interfaces to a private network namespace: %w%s", err, Explain(err))
	}
	var ends [2]int
	for i, name := range [...]string{attrs.Name, peer} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return Pair{}, fmt.Errorf("looking up interface %s of a private network namespace: %w", name, err)
		}
		ends[i] = link.Attrs().Index
	}
	return Pair{First: min(ends[0], ends[1]), Last: max(ends[0], ends[1])}, nil
}
