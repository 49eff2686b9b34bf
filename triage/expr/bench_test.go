package expr

import "testing"

// cheap are invariants that hold for the outcome that the tests below give them.
func cheap() map[string]string {
	return map[string]string{
		"verdict": `verdict != "XDP_ABORTED"`,
		"ret":     "ret in [1, 2]",
		"packet":  `verdict == "XDP_DROP" or in.ipv4.protocol != 6 or in.tcp.dest in [22, 80, 443]`,
		"both":    "out.ipv4.ttl == in.ipv4.ttl and out.tcp.csum_ok",
		"address": `in.ipv4.saddr in "10.0.0.0/8" and not in.ipv6.present`,
		"context": "bitand(ctx.mark, 0x10000) != 0",
		"map":     `map("vips")[{addr: in.ipv4.saddr, port: in.tcp.dest, proto: 6}].flags == 1 and 6 in map("hits")`,
	}
}

func BenchmarkJudge(b *testing.B) {
	in, out := ran(2, tcpPacket(22), tcpPacket(22))
	for name, text := range cheap() {
		b.Run(name, func(b *testing.B) {
			o := mustCompile(b, name, text, xdpShape())
			b.ReportAllocs()
			for b.Loop() {
				if o.Judge(in, out) != nil {
					b.Fatal("broken")
				}
			}
		})
	}
}
