package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/vishvananda/netlink"
)

// liveMTU lets everything through that a live frame can become: a frame, its
// headroom included, lies in a page.
const liveMTU = 8192

// wire is a pair of virtual Ethernet interfaces in the namespace of the calling
// thread: what is transmitted out of one arrives at the other.
type wire struct {
	handle    *netlink.Handle
	name      string
	near, far int // interface indices
}

// quiet keeps the namespace from sending anything by itself: without IPv6 there is
// no neighbour discovery, and without addresses no ARP.
func quiet() error {
	const path = "/proc/sys/net/ipv6/conf/default/disable_ipv6"
	err := os.WriteFile(path, []byte("1\n"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // a kernel without IPv6 is quiet
		return fmt.Errorf("switching IPv6 off in a private namespace: %w; mount /proc/sys writable", err)
	}
	return nil
}

// newWire makes the interfaces name and name-peer, which are down. The kernel numbers the peer
// of a pair first, so the pair is made from its other end.
func newWire(handle *netlink.Handle, name string) (*wire, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = name+"-peer", liveMTU
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerMTU = name, liveMTU
	if err := handle.LinkAdd(veth); err != nil {
		return nil, fmt.Errorf("making the veth pair %s in a private namespace: %w; it needs CAP_NET_ADMIN and the module veth", name, err)
	}
	w := &wire{handle: handle, name: name}
	var err error
	if w.near, err = w.index(name); err == nil {
		w.far, err = w.index(attrs.Name)
	}
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

func (w *wire) index(name string) (int, error) {
	l, err := w.handle.LinkByName(name)
	if err != nil {
		return 0, fmt.Errorf("finding the interface %s that was just made: %w", name, err)
	}
	return l.Attrs().Index, nil
}

// up brings both ends up.
func (w *wire) up() error {
	for _, name := range [...]string{w.name, w.name + "-peer"} {
		l, err := w.handle.LinkByName(name)
		if err == nil {
			err = w.handle.LinkSetUp(l)
		}
		if err != nil {
			return fmt.Errorf("bringing up %s: %w", name, err)
		}
	}
	return nil
}

// Close takes the pair away: one end goes with the other.
func (w *wire) Close() error {
	l, err := w.handle.LinkByName(w.name)
	if err == nil {
		err = w.handle.LinkDel(l)
	}
	if err != nil {
		return fmt.Errorf("removing the veth pair %s: %w", w.name, err)
	}
	return nil
}
