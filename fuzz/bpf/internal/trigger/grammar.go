package trigger

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Offsets of what inputs choose. All kinds have the same places for the same
// things, so that inputs of one can be tried on another.
const (
	atIPv6     = 0  // u8: 1 for IPv6
	atStream   = 1  // u8: 1 for TCP, 0 for UDP
	atCount    = 2  // u8: how many of something
	atFlags    = 3  // u8: bits, each kind has its own
	atPort     = 4  // u16: destination
	atFromPort = 6  // u16: source
	atTo       = 8  // 16 bytes, network order: destination
	atFrom     = 24 // 16 bytes, network order: source
	atMark     = 40 // u32: SO_MARK
	atPriority = 44 // u32: SO_PRIORITY
	atTOS      = 48 // u8: IP_TOS or IPV6_TCLASS
	atOption   = 49 // u8: each kind has its own
	atSize     = 50 // u16: bytes of something
	atType     = 52 // u16: of a socket
	atProtocol = 54 // u16: of a socket
)

func ports(name string, at int, values ...uint64) corpus.Field {
	return corpus.Field{Name: name, Offset: at, Size: 2, Values: append([]uint64{0, 1, 53, 80, 443, 1023, 1024, 8080, 65535}, values...)}
}

func flag(name string, at int) corpus.Field {
	return corpus.Field{Name: name, Offset: at, Size: 1, Max: 1, Values: []uint64{0, 1}}
}

// address lists the words of an address; the first one is all of an IPv4 address.
func address(name string, at, words int) []corpus.Field {
	names := [4]string{name + "[0]", name + "[1]", name + "[2]", name + "[3]"}
	fields := make([]corpus.Field, words)
	for i := range fields {
		fields[i] = corpus.Field{Name: names[i], Offset: at + 4*i, Size: 4, Big: true}
		if words == 1 {
			fields[i].Name = name
		}
	}
	fields[0].Values = []uint64{0, 0x0a000001, 0x7f000001, 0x7f000002, 0xc0a80001, 0xac100001, 0xe0000001, 0xffffffff}
	if words > 1 {
		fields[0].Values = append(fields[0].Values, 0x20010db8, 0xfe800000, 0xfc000000, 0xff020000)
		fields[2].Values = []uint64{0, 0xffff, 0x0064ff9b}
		fields[3].Values = []uint64{0, 1, 2, 0x7f000001}
	}
	return fields
}

// options lists what a socket can be told that programs see.
func options() []corpus.Field {
	return []corpus.Field{
		{Name: "mark", Offset: atMark, Size: 4, Values: []uint64{1, 0xff, 0x10000, 0x80000000, 0xffffffff}},
		{Name: "priority", Offset: atPriority, Size: 4, Values: []uint64{1, 6, 7, 0x10001, 0xffffffff}},
	}
}

// Address is an address and a port.
type Address = netip.AddrPort

// word reads fields of a context.
func half(context []byte, at int) uint16 { return binary.NativeEndian.Uint16(context[at:]) }
func word(context []byte, at int) uint32 { return binary.NativeEndian.Uint32(context[at:]) }

// endpoint reads an address and its port.
func endpoint(context []byte, ipv6 bool, at, port int) Address {
	if ipv6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(context[at:])), half(context, port))
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(context[at:])), half(context, port))
}

// connected lists what an input chooses of the two ends of a connection.
func connected() []corpus.Field {
	fields := []corpus.Field{flag("ipv6", atIPv6), ports("port", atPort), ports("from_port", atFromPort)}
	fields = append(fields, address("to", atTo, 4)...)
	return append(fields, address("from", atFrom, 4)...)
}

// Ports that stand in for 0, for which the kernel would draw lots.
const (
	serverPort = 40001
	clientPort = 40002
)

// fixed replaces port 0.
func fixed(a Address, port uint16) Address {
	if a.Port() != 0 {
		return a
	}
	return netip.AddrPortFrom(a.Addr(), port)
}

// ends reads the two ends of a connection.
func ends(context []byte) (to, from Address) {
	ipv6 := context[atIPv6] != 0
	return fixed(endpoint(context, ipv6, atTo, atPort), serverPort), fixed(endpoint(context, ipv6, atFrom, atFromPort), clientPort)
}

// Output lists what is seen of an event, in the order in which Seen.Put writes it.
func Output() []corpus.Field {
	return append([]corpus.Field{
		{Name: "errno", Offset: 0, Size: 4},
		{Name: "runs", Offset: 4, Size: 4},
		{Name: "socket", Offset: 8, Size: 4},
		{Name: "received", Offset: 12, Size: 4},
		{Name: "family", Offset: 16, Size: 4},
		{Name: "port", Offset: 20, Size: 4},
	}, plain(address("addr", 24, 4))...)
}

// plain drops values to try, which have no meaning in an output.
func plain(fields []corpus.Field) []corpus.Field {
	for i := range fields {
		fields[i].Values = nil
	}
	return fields
}

// Put writes what was seen of an event in which the program ran so often to
// context, which has ContextSize bytes, as Output lists it.
func (s *Seen) Put(context []byte, runs uint32) {
	clear(context)
	put := func(at int, v uint32) { binary.NativeEndian.PutUint32(context[at:], v) }
	put(0, uint32(s.Errno))
	put(4, runs)
	put(8, s.Socket)
	put(12, uint32(len(s.Packet)))
	if !s.Address.IsValid() {
		return
	}
	put(20, uint32(s.Address.Port()))
	if addr := s.Address.Addr(); addr.Is4() {
		put(16, unix.AF_INET)
		a := addr.As4()
		copy(context[24:], a[:])
	} else {
		put(16, unix.AF_INET6)
		a := addr.As16()
		copy(context[24:], a[:])
	}
}

// sorted puts fields in order of offset.
func sorted(fields []corpus.Field) []corpus.Field {
	slices.SortFunc(fields, func(a, b corpus.Field) int { return a.Offset - b.Offset })
	return fields
}
