package trigger

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// prepareNamespace brings loopback up in the thread's network namespace and makes
// every address local, so that whatever address an input has, packets to it stay
// inside. Doing it again does no harm.
func prepareNamespace() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback interface: %w", err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing interfaces: %w", err)
	}
	for _, l := range links {
		if l.Type() != "tuntap" && l.Attrs().Name != "lo" && l.Attrs().Flags&net.FlagUp != 0 {
			return fmt.Errorf("interface %s is up: triggers run in a network namespace of their own only", l.Attrs().Name)
		}
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("bringing loopback up: %w", err)
	}
	for _, s := range [...]struct{ name, value string }{
		{"net/ipv6/ip_nonlocal_bind", "1"},
		{"net/ipv4/ip_nonlocal_bind", "1"},
		// A closed connection leaves nothing behind that the next input runs into.
		{"net/ipv4/tcp_max_tw_buckets", "0"},
		{"net/ipv4/tcp_fin_timeout", "1"},
		{"net/ipv6/conf/lo/accept_dad", "0"},
	} {
		if err := setting(s.name, s.value); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	for _, all := range []string{"0.0.0.0/0", "::/0"} {
		if err := makeLocal(lo, all); err != nil {
			return err
		}
	}
	return nil
}

// makeLocal makes all addresses of a prefix the machine's own.
func makeLocal(lo netlink.Link, prefix string) error {
	_, dst, err := net.ParseCIDR(prefix)
	if err != nil {
		return err
	}
	err = netlink.RouteReplace(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Dst: dst, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: netlink.SCOPE_HOST,
	})
	if err != nil && !(dst.IP.To4() == nil && errors.Is(err, unix.EOPNOTSUPP)) {
		return fmt.Errorf("making %s local: %w", prefix, err)
	}
	return nil
}

// setting writes a kernel setting, which for net/ is the thread's namespace's.
func setting(name, value string) error {
	if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0); err != nil {
		return fmt.Errorf("setting %s: %w", name, err)
	}
	return nil
}
