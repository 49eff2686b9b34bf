package trigger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Offsets of an SRv6 packet in an Ethernet frame, in the order on the wire.
const (
	ethernet = 14
	ip6      = ethernet
	srh      = ip6 + 40
	segments = srh + 8
	minSRv6  = segments + 16
	maxSRv6  = 1400
)

// segment is the address that the program is behind.
var segment = [16]byte{0xfc, 0, 0xb, 0xf0, 15: 1}

// seg6Local routes packets with a segment routing header through the program.
func seg6Local() Kind {
	return Kind{
		Name:   "lwt_seg6local",
		Event:  "an SRv6 packet from a TUN device to a route with action End.BPF",
		Packet: corpus.Bounds{Min: minSRv6, Max: maxSRv6},
		Verdicts: []corpus.Verdict{
			{Value: 0, Name: "BPF_OK"}, {Value: 2, Name: "BPF_DROP"}, {Value: 7, Name: "BPF_REDIRECT"},
		},
		Start: func(p Program) (Trigger, error) { return startRouter(p) },
	}
}

// router is the trigger of lwt_seg6local programs.
type router struct {
	tun    int
	in     []byte
	out    []byte
	device netlink.Link
}

func startRouter(p Program) (r *router, err error) {
	if err := prepareNamespace(); err != nil {
		return nil, err
	}
	r = &router{tun: -1, in: make([]byte, maxSRv6), out: make([]byte, 1<<16)}
	if err = r.setUp(p); err != nil {
		return nil, errors.Join(fmt.Errorf("routing through a program: %w", err), r.Close())
	}
	return r, nil
}

func (r *router) setUp(p Program) error {
	name, err := r.openTUN()
	if err != nil {
		return err
	}
	for _, s := range [...]struct{ name, value string }{
		{"net/ipv6/conf/" + name + "/addr_gen_mode", "1"}, // no address, so nothing is announced
		{"net/ipv6/conf/" + name + "/seg6_enabled", "1"},
		{"net/ipv6/conf/all/seg6_enabled", "1"},
		{"net/ipv6/conf/all/forwarding", "1"},
	} {
		if err := setting(s.name, s.value); err != nil {
			return err
		}
	}
	if r.device, err = netlink.LinkByName(name); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(r.device); err != nil {
		return err
	}
	// What leaves the program goes out again, instead of being local.
	if _, all, err := net.ParseCIDR("::/0"); err == nil {
		_ = netlink.RouteDel(&netlink.Route{Dst: all, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL})
		if err := netlink.RouteReplace(&netlink.Route{LinkIndex: r.device.Attrs().Index, Dst: all}); err != nil {
			return fmt.Errorf("adding a default route: %w", err)
		}
	}
	encap := &netlink.SEG6LocalEncap{Action: nl.SEG6_LOCAL_ACTION_END_BPF}
	encap.Flags[nl.SEG6_LOCAL_ACTION], encap.Flags[nl.SEG6_LOCAL_BPF] = true, true
	if err := encap.SetProg(p.Program.FD(), "bpffuzz"); err != nil {
		return err
	}
	route := &netlink.Route{
		LinkIndex: r.device.Attrs().Index, Encap: encap,
		Dst: &net.IPNet{IP: segment[:], Mask: net.CIDRMask(128, 128)},
	}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("adding a route with action End.BPF: %w", err)
	}
	return nil
}

// openTUN makes a device whose packets are read and written here.
func (r *router) openTUN() (name string, err error) {
	if r.tun, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return "", fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq("srv%d")
	if err != nil {
		return "", err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(r.tun, unix.TUNSETIFF, req); err != nil {
		return "", fmt.Errorf("making a TUN device: %w", err)
	}
	return req.Name(), nil
}

// Fire implements Trigger. The frame's bytes are sent from the IPv6 header on, with
// what the kernel insists on before it runs the program put right: version,
// destination, and a routing header that points to one of its segments. Packet is
// what left, with 14 zero bytes in front in place of an Ethernet header; Socket is 0
// when something did.
func (r *router) Fire(_, packet []byte, seen *Seen) error {
	*seen = Seen{Socket: NoSocket}
	r.drain()
	p := r.in[:copy(r.in, packet)]
	if len(p) < minSRv6 {
		clear(r.in[len(p):minSRv6])
		p = r.in[:minSRv6]
	}
	mend(p)
	if _, err := unix.Write(r.tun, p[ip6:]); err != nil {
		seen.Errno = number(err)
		return nil
	}
	clear(r.out[:ethernet])
	if n, ok := r.next(); ok {
		seen.Packet, seen.Socket = r.out[:ethernet+n], 0
	}
	return nil
}

// mend makes p a packet that reaches the program.
func mend(p []byte) {
	p[ip6] = 6<<4 | p[ip6]&0xf
	binary.BigEndian.PutUint16(p[ip6+4:], uint16(len(p)-srh))
	p[ip6+6] = unix.IPPROTO_ROUTING
	p[ip6+7] = max(p[ip6+7], 2)
	if p[ip6+8] == 0xff {
		p[ip6+8] = 0x20 // nothing comes from a multicast address
	}
	copy(p[ip6+24:], segment[:])
	room := (len(p) - segments) / 8 // what the header's length may count
	length := min(max(int(p[srh+1]), 2), room)
	p[srh+1] = byte(length)
	p[srh+2] = 4 // segment routing
	last := min(int(p[srh+4]), length/2-1)
	p[srh+4] = byte(last)
	p[srh+3] = byte(min(max(int(p[srh+3]), 1), last+1))
}

// drain throws away what earlier events and the kernel left.
func (r *router) drain() {
	for {
		if n, err := unix.Read(r.tun, r.out); err != nil || n == 0 {
			return
		}
	}
}

// next reads the packet that left, passing over the kernel's own announcements.
func (r *router) next() (n int, ok bool) {
	for {
		n, err := unix.Read(r.tun, r.out[ethernet:])
		if err != nil || n == 0 {
			return 0, false
		}
		if p := r.out[ethernet : ethernet+n]; n < 40 || p[6] != 0 || p[24] != 0xff {
			return n, true
		}
	}
}

// Close implements Trigger: the device goes with its descriptor, the routes with
// the device.
func (r *router) Close() error {
	if r.tun < 0 {
		return nil
	}
	return unix.Close(r.tun)
}
