package expr

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"

	"github.com/expr-lang/expr/ast"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// literal gives a literal the meaning that it has in a comparison with a. Other
// operands are returned as they are.
func (c *compiler) literal(a, b operand) (operand, error) {
	if b.constant.sign != unknown && a.width > 0 && !(fits(b.constant, a.width) && b.constant.sign == plus) {
		return b, c.errorf(b.node, "the value it is compared with is an unsigned number of %d bits and never equals %s", a.width, b.constant)
	}
	if b.kind != text {
		return b, nil
	}
	switch {
	case a.kind == verdict:
		v, err := c.verdictNamed(b)
		if err != nil {
			return b, err
		}
		o := constantOf(b.node, v)
		o.kind = verdict
		return o, nil
	case a.kind == address:
		w, ok := wideAddress(b.text)
		if !ok {
			return b, c.errorf(b.node, "%q is no IPv6 address", b.text)
		}
		return operand{kind: address, node: b.node, wide: func(scope) wide { return w }}, nil
	case a.kind == number && (a.width == 32 || a.width == 48):
		v := hardwareOrIPv4(b.text, a)
		if v.sign == unknown {
			return b, c.errorf(b.node, "%q is no %s", b.text, addressKind(a.width))
		}
		return constantOf(b.node, v), nil
	}
	return b, c.errorf(b.node, "the text %q is compared with %s: texts are verdicts and addresses", b.text, a.kind)
}

func addressKind(width int) string {
	if width == 48 {
		return `hardware address such as "02:00:00:00:00:01"`
	}
	return `IPv4 address such as "10.9.8.7"`
}

// hardwareOrIPv4 is the number that a field of 32 or 48 bits has when its bytes
// are the address as on the wire, whatever the field's byte order.
func hardwareOrIPv4(s string, field operand) num {
	if field.width == 48 {
		mac, err := net.ParseMAC(s)
		if err != nil || len(mac) != 6 {
			return num{}
		}
		return natural(binary.BigEndian.Uint64(append([]byte{0, 0}, mac...)))
	}
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is4() {
		return num{}
	}
	b := ip.As4()
	return load(b[:], 4, !field.native)
}

// addressText shows a number of 32 or 48 bits as an address.
func addressText(n num, width int) string {
	if n.sign == unknown {
		return n.String()
	}
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n.bits)
	if width == 48 {
		return net.HardwareAddr(b[2:]).String()
	}
	return netip.AddrFrom4([4]byte(b[4:])).String()
}

func wideAddress(s string) (wide, bool) {
	ip, err := netip.ParseAddr(s)
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return wide{}, false
	}
	return wideOf(ip), true
}

func wideOf(ip netip.Addr) wide {
	b := ip.As16()
	return wide{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:]), true}
}

func (w wide) String() string {
	if !w.known {
		return "absent"
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], w.high)
	binary.BigEndian.PutUint64(b[8:], w.low)
	return netip.AddrFrom16(b).String()
}

// verdictNamed returns the return value that a name stands for.
func (c *compiler) verdictNamed(o operand) (num, error) {
	names := make([]string, 0, len(c.shape.Verdicts))
	for _, v := range c.shape.Verdicts {
		names = append(names, v.Name)
		if strings.EqualFold(v.Name, o.text) || strings.EqualFold(shortVerdict(v.Name), o.text) {
			return natural(uint64(v.Value)), nil
		}
	}
	if len(names) == 0 {
		return num{}, c.errorf(o.node, "the verdicts of %s have no names: compare ret with a number", kindOfProgram(c.shape))
	}
	return num{}, c.errorf(o.node, "%s has no verdict %q; known are %s", kindOfProgram(c.shape), o.text, enumerate(names, "and", 24))
}

// shortVerdict leaves out what all verdicts of a type begin with.
func shortVerdict(name string) string {
	for _, prefix := range []string{"XDP_", "TC_ACT_", "TCX_", "SK_", "BPF_"} {
		if short, ok := strings.CutPrefix(name, prefix); ok {
			return short
		}
	}
	return name
}

func kindOfProgram(shape *corpus.Shape) string {
	if shape.Type == "" {
		return "the target"
	}
	return shape.Type
}

func firstVerdict(shape *corpus.Shape) string {
	if len(shape.Verdicts) == 0 {
		return "XDP_PASS"
	}
	return shape.Verdicts[0].Name
}

// prefix returns the first and the last address of a network such as "10.0.0.0/8".
func (c *compiler) prefix(node ast.Node, s string) (first, end netip.Addr, err error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return first, end, c.errorf(node, `%q is no network such as "10.0.0.0/8" or "fd00::/8"`, s)
	}
	first = p.Masked().Addr()
	b := first.AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	end, _ = netip.AddrFromSlice(b)
	return first, end, nil
}
