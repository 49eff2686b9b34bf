package trigger

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// maxFrame is an Ethernet frame of the usual MTU.
const maxFrame = 1514

// Frames sends an Ethernet frame through a TAP device, takes it out at the other
// side and puts it back in, so that it is transmitted, consumed, received and, since
// nobody there wants it, dropped.
func Frames() Passing {
	return Passing{
		Packet: corpus.Bounds{Min: ethernet, Max: maxFrame},
		Start:  func() (Trigger, error) { return startTap() },
	}
}

// tap is the trigger of Frames.
type tap struct {
	device int // where frames come out and go in
	sender socket
	to     unix.SockaddrLinklayer
	buf    []byte
}

func startTap() (t *tap, err error) {
	t = &tap{device: -1, sender: noSocket, buf: make([]byte, 2*maxFrame)}
	if err := t.setUp(); err != nil {
		return nil, errors.Join(fmt.Errorf("making a TAP device to send frames through: %w", err), t.Close())
	}
	return t, nil
}

func (t *tap) setUp() (err error) {
	if t.device, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return fmt.Errorf("opening /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq("tap%d")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(t.device, unix.TUNSETIFF, req); err != nil {
		return err
	}
	// Nothing but the inputs' frames is to be sent.
	if err := setting("net/ipv6/conf/"+req.Name()+"/disable_ipv6", "1"); err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	link, err := netlink.LinkByName(req.Name())
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0) // receives nothing
	if err != nil {
		return err
	}
	t.sender, t.to = socket(fd), unix.SockaddrLinklayer{Ifindex: link.Attrs().Index}
	return nil
}

// Fire implements Trigger. Errno is the sender's; Packet is what came out.
func (t *tap) Fire(_, packet []byte, seen *Seen) error {
	*seen = Seen{Socket: NoSocket}
	if err := unix.Sendto(int(t.sender), packet, 0, &t.to); err != nil {
		if !errors.As(err, &seen.Errno) {
			return err
		}
		return nil // such as a frame with a VLAN tag that is too long
	}
	n, err := unix.Read(t.device, t.buf)
	if err != nil {
		return nil // it was not transmitted
	}
	seen.Socket, seen.Packet = 0, t.buf[:n]
	_, _ = unix.Write(t.device, t.buf[:n])
	return nil
}

// Close implements Trigger.
func (t *tap) Close() (err error) {
	t.sender.close()
	if t.device >= 0 {
		err = unix.Close(t.device) // the interface goes with it
	}
	t.device, t.sender = -1, noSocket
	return err
}
