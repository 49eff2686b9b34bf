package expr

import (
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

func mustCompile(tb testing.TB, name, text string, shape *corpus.Shape) triage.Oracle {
	tb.Helper()
	o, err := Compile(name, text, shape)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// verdictOn judges a statement and its negation, and so tells false from absent.
func verdictOn(tb testing.TB, text string, in *corpus.Input, out *corpus.Outcome) truth {
	tb.Helper()
	holds := mustCompile(tb, "", text, xdpShape()).Judge(in, out) == nil
	fails := mustCompile(tb, "", "not ("+text+")", xdpShape()).Judge(in, out) == nil
	switch {
	case holds && fails:
		return maybe
	case holds:
		return yes
	case fails:
		return no
	}
	tb.Fatalf("%s and its negation are both broken", text)
	return maybe
}

func TestJudge(t *testing.T) {
	after := tcpPacket(22)
	after[14+8] = 63
	after[14+11] ^= 0x55 // an invalid checksum
	in, out := ran(2, tcpPacket(22), after)
	in.Steps = append([]corpus.Step{{Packet: ipv6Packet("fd00::1")}}, in.Steps...)
	out.Steps = append([]corpus.StepOutcome{{Ret: 1, Packet: ipv6Packet("fd00::2")}}, out.Steps...)
	in.Steps[1].Context = make([]byte, 24)
	in.Steps[1].Context[0] = 1
	in.Steps[1].Context[3] = 1

	tests := map[truth][]string{
		yes: {
			"ret == 2", "ret in [1, 2]", "ret in 1..3", "ret in [0, 2..3]", "ret * 2 - 1 == 3", "-ret < 0",
			`verdict == "XDP_PASS"`, `verdict == "pass"`, `"xdp_pass" == verdict`, `verdict != "drop"`,
			`verdict in ["drop", "pass"]`, `verdict not in ["XDP_TX"]`, "errno == 0",
			"in.ipv4.ttl == 64", "out.ipv4.ttl == in.ipv4.ttl - 1", "out.ipv4.ttl<in.ipv4.ttl", "in.len == len(steps) + 56",
			"in.ipv4.present", "not in.udp.present", "in.ipv4.csum_ok", "!out.ipv4.csum_ok", "in.tcp.csum_ok == true",
			"in.tcp.syn", "in.tcp.syn == 1 and !in.tcp.ack", "in.tcp.syn != in.tcp.ack", "in.payload.len == 4",
			`in.ipv4.saddr == "10.9.8.7"`, `in.ipv4.saddr in "10.0.0.0/8"`, `in.ipv4.daddr in ["10.0.0.1", "192.168.0.0/16"]`,
			`in.ethernet.h_dest == "02:00:00:00:00:01"`, "bitand(in.ipv4.saddr, 0xff000000) == 0x0a000000",
			"in.byte[12] == 8", "in.u16[12] == 0x0800", "in.u32[26] == 0x0a090807", "in.u16[in.len - 2] == 0",
			"1 < in.ipv4.ttl < 65", "in.tcp.dest == 22 ? out.len == 58 : false", "ret == 2 ? 1 == 1 : in.udp.dest == 1",
			"bitnot(0) == in.ipv4.ttl - 64 + bitnot(0)", "bitshr(in.ipv4.saddr, 24) == 10", "bitxor(ret, 3) == 1 && bitor(ret, 1) == 3",
			"steps[0].ret == 1", `steps[0].verdict == "drop"`, "steps[0].verdict != steps[1].verdict", "nsteps == 2",
			`steps[0].in.ipv6.saddr == "fd00::1"`, `steps[0].out.ipv6.saddr in "fd00::/16"`, "steps[0].in.ipv6.saddr == steps[0].in.ipv6.daddr",
			`steps[0].out.ipv6.saddr in ["fd00::1", "fd00::2"]`, "steps[0].out.ipv6.saddr != steps[0].in.ipv6.saddr", "steps[1].ctx.mark == 0x10000",
			"bitand(ctx.mark, 0x10000) != 0", "ctx.cb[1] == 7", `ctx.remote_ip4 == "10.1.2.3"`, "ctx.tstamp > 0x7fffffffffffffff",
			"ctx.tstamp - 1 + 1 == ctx.tstamp", "in.ctx.mark != 0", "steps[0].in.ctx.mark == 0",
			`map("hits")[6] == 5`, `map("hits")[in.ipv4.protocol] >= 5`, `has(map("hits")[6])`, `6 in map("hits")`, `7 not in map("hits")`,
			`not has(map("hits")[7])`, `map("vips")[{addr: "10.9.8.7", port: 22, proto: 6}].backend == 31337`,
			`map("vips")[{addr: in.ipv4.saddr, port: in.tcp.dest, proto: in.ipv4.protocol}].flags == 1`,
			`map("raw")["fd00::1"] == 1`, `{addr: "10.9.8.7", port: 22, proto: 6} in map("vips")`, `has(map("hits")[map("hits")[6] + 1])`,
			"in.udp.dest == 1 or true and ret == 2", "ret == 2 or in.udp.dest == 1",
			"(ret == 2 ? in.ipv4.ttl : out.ipv4.ttl) == 64", "(ret == 1 ? in.ipv4.ttl : out.ipv4.ttl) == 63", "bitnand(7, ret) == 5 and bitshl(ret, 3) == 16",
			"in.ipv4.ttl in 2 * 3..bitushr(256, 1)", "true and ret == 2", `not has(map("hits")[0x100000000 * ret])`, "ctx.mark in [0x10000]",
			"// in.x\nret == 2", "ret /* in. */ == 2", "ret % 2 == 0 and ret / 2 == 1", "if ret == 2 { true } else { false }",
		},
		no: {
			"ret == 3", `verdict == "drop"`, "in.ipv4.ttl == out.ipv4.ttl", "out.ipv4.csum_ok", "in.udp.present", "in.udp.dest == 1 and ret == 1",
			"ret == 1 and in.udp.dest == 1", `map("hits")[6] == 6`, `8 in map("hits")`, "ret in [in.ipv4.ttl, 3]", `map("hits")[6] == -1 + 0 * ret`,
			`in.ipv4.saddr in "11.0.0.0/8"`, `steps[0].in.ipv6.saddr in "fe80::/10"`, "in.ipv4.ttl in out.ipv4.ttl+2..255",
			"in.payload.len == 5", "in.udp.present ? true : false",
		},
		maybe: {
			"in.udp.dest == 1", "in.udp.dest < 1", "in.udp.dest in [1]", "in.ipv4[1].ttl == 1", "in.udp.csum_ok", "in.byte[1000] == 1",
			"in.byte[0 - ret] == 1", "in.u32[in.len - 3] == 0", "ret / (ret - 2) == 1", "ret % (ret - 2) == 1", "bitnot(0) * ret > 0", "bitnot(0) + ret > 0",
			"bitand(0 - ret, 1) == 0", "steps[2].ret == 0", "steps[2].in.ipv4.present", "steps[2].out.len == 0", "steps[3].ctx.mark == 0", "steps[3].in.ctx.mark == 0",
			`map("hits")[7] == 0`, `map("hits")[in.udp.dest] == 1`, `has(map("hits")[in.udp.dest])`, "steps[0].ctx.mark == 0",
			"steps[0].in.ctx.ifindex == 1", "in.ipv6.saddr == in.ipv6.daddr", `in.ipv6.saddr in "fd00::/8"`, "in.udp.dest == 1 or ret == 1",
			"(in.udp.dest == 1 ? ret : 2) == 2", "steps[2].in.payload.len == 0",
			"in.udp.dest == 1 ? ret == 2 : ret == 1", "ret in [in.udp.dest, 3]", "-in.udp.dest == 1", "in.udp.csum_ok == in.tcp.csum_ok",
			"in.udp.dest + 1 == 2", "bitnot(in.udp.dest) == 2", "in.udp.dest in 1..ret", "in.gre.csum_present", "0 - bitnot(0) + bitnot(0) == ret - 2",
		},
	}
	for want, texts := range tests {
		for _, text := range texts {
			t.Run(want.String()+"/"+text, func(t *testing.T) {
				in, out := in, out
				if !strings.Contains(text, "steps") && !strings.Contains(text, "map(") {
					in, out = lastStep(in, out) // each step is judged, and the table is about this one
				}
				if got := verdictOn(t, text, in, out); got != want {
					t.Errorf("%s is %s, want %s", text, got, want)
				}
			})
		}
	}
}

func lastStep(in *corpus.Input, out *corpus.Outcome) (*corpus.Input, *corpus.Outcome) {
	alone := *out
	alone.Steps = out.Steps[len(out.Steps)-1:]
	return &corpus.Input{Steps: in.Steps[len(in.Steps)-1:]}, &alone
}

func TestEachStepIsJudged(t *testing.T) {
	in, out := &corpus.Input{}, &corpus.Outcome{Have: corpus.HaveRet | corpus.HavePacket}
	for _, ret := range []uint32{1, 2, 1} {
		stepIn, stepOut := ran(ret, tcpPacket(22), tcpPacket(22))
		in.Steps, out.Steps = append(in.Steps, stepIn.Steps...), append(out.Steps, stepOut.Steps...)
	}
	for text, want := range map[string]string{
		`verdict == "drop"`:                       "step 1: ",
		`verdict == "drop" or in.tcp.dest == 23`:  "step 1: ",
		`verdict == "drop" or in.tcp.dest == 22`:  "",
		`verdict == "drop" or nsteps == 0`:        "", // about the whole: the last step dropped
		`verdict == "pass" and steps[0].ret == 1`: "step 2: ",
		`ret == 1 or ret == 2 and ctx.mark == 1`:  "step 1: ",
		`ret in [1]`:                              "step 1: ",
		`ret != 1`:                                "step 0: ",
	} {
		err := mustCompile(t, "", text, xdpShape()).Judge(in, out)
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want+"invariant") {
			t.Errorf("%s: %v, want one about %q", text, err, want)
		}
	}
}

func TestErrno(t *testing.T) {
	in, out := failed(syscall.EINVAL)
	tests := map[string]truth{
		"errno == 22": yes, "errno == 0": no,
		"ret == 2": maybe, `verdict == "pass"`: maybe, "out.len == 0": maybe, "out.ipv4.present": maybe,
		"out.ipv4.ttl == 1": maybe, "out.payload.len == 0": maybe, "ctx.mark == 0": maybe, "in.ipv4.ttl == 64": yes,
	}
	for text, want := range tests {
		if got := verdictOn(t, text, in, out); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestWithoutRecords(t *testing.T) {
	in, out := ran(2, tcpPacket(22), nil)
	out.Maps, out.Steps[0].Context = nil, nil
	for _, text := range []string{`has(map("hits")[6])`, `map("hits")[6] == 5`, "ctx.mark == 0"} {
		if got := verdictOn(t, text, in, out); got != maybe {
			t.Errorf("%s is %s, want absent", text, got)
		}
	}
}

func TestNested(t *testing.T) {
	in, out := ran(2, tunnel(), tunnel())
	for text, want := range map[string]truth{
		"in.ipv4.ttl == 64": yes, "in.ipv4[0].ttl == 64": yes, "in.ipv4[1].ttl == 9": yes, "in.ipv4[1].present": yes, "in.ipv4[2].present": no,
	} {
		if got := verdictOn(t, text, in, out); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
	}
}

func TestMetadata(t *testing.T) {
	shape := xdpShape()
	shape.Meta.Max = 32
	shape.Output = append(shape.Output, corpus.Field{Name: "data", Offset: 0, Size: 4})
	o := mustCompile(t, "", "out.ipv4.ttl == 64 and out.ipv4.present and out.len == in.len", shape)
	in, out := ran(2, tcpPacket(22), append(make([]byte, 8), tcpPacket(22)...))
	in.Steps[0].Meta = make([]byte, 8)
	out.Steps[0].Context = nil
	if err := o.Judge(in, out); err != nil {
		t.Errorf("with the input's metadata: %v", err)
	}
	in.Steps[0].Meta = nil
	out.Steps[0].Context = make([]byte, 24)
	out.Steps[0].Context[0], out.Steps[0].Context[3] = 8, 8
	order(false).PutUint32(out.Steps[0].Context, 8)
	if err := o.Judge(in, out); err != nil {
		t.Errorf("with the program's metadata: %v", err)
	}
	out.Steps[0].Context = nil
	if o.Judge(in, out) == nil {
		t.Error("8 bytes more were not seen")
	}
}

func TestOracle(t *testing.T) {
	tests := []struct {
		name, text, want string
		need             corpus.Have
		when             triage.Cadence
	}{
		{"no leak", "ret != 1", "invariant-no-leak", corpus.HaveRet, triage.Every},
		{"../X\\y", "errno == 0", "invariant-x-y", corpus.HaveRet, triage.Every},
		{"in", "in.ipv4.ttl > 0", "invariant-in", 0, triage.Every},
		{"in-ctx", "in.ctx.mark > 0", "invariant-in-ctx", 0, triage.Every},
		{"out", "out.len > 0", "invariant-out", corpus.HaveRet | corpus.HavePacket, triage.Every},
		{"ctx", "ctx.mark > 0", "invariant-ctx", corpus.HaveRet | corpus.HaveContext, triage.Sampled},
		{"map", `map("hits")[1] > 0`, "invariant-map", corpus.HaveMaps, triage.Sampled},
		{"all", `map("hits")[1] > 0 or ctx.mark == 1 or out.len > ret`, "invariant-all", corpus.HaveRet | corpus.HavePacket | corpus.HaveContext | corpus.HaveMaps, triage.Sampled},
		{strings.Repeat("long ", 40), "ret != 1", "invariant-" + strings.TrimRight(strings.Repeat("long-", 13)[:64], "-"), corpus.HaveRet, triage.Every},
	}
	for _, tt := range tests {
		o := mustCompile(t, tt.name, tt.text, xdpShape())
		if o.Name != tt.want || o.Need != tt.need || o.When != tt.when {
			t.Errorf("%s: %s %b %d, want %s %b %d", tt.text, o.Name, o.Need, o.When, tt.want, tt.need, tt.when)
		}
	}
	a, b := mustCompile(t, "", "ret != 1", xdpShape()), mustCompile(t, "", "ret != 2", xdpShape())
	if a.Name == b.Name || len(a.Name) != len("invariant-")+8 {
		t.Errorf("invariants without names are called %s and %s", a.Name, b.Name)
	}
}

func TestMessage(t *testing.T) {
	in, out := ran(2, tcpPacket(22), tcpPacket(22))
	tests := []struct{ name, text, want string }{
		{
			"no-leak", "verdict == \"XDP_DROP\"\n  or in.tcp.dest != 22",
			`invariant "no-leak" does not hold: verdict == "XDP_DROP" or in.tcp.dest != 22 (verdict = XDP_PASS, in.tcp.dest = 22)`,
		},
		{"", "ret in [0, 1]", `invariant does not hold: ret in [0, 1] (ret = 2)`},
		{"a", `in.ipv4.saddr == "10.0.0.1"`, `invariant "a" does not hold: in.ipv4.saddr == "10.0.0.1" (in.ipv4.saddr = 10.9.8.7)`},
		{"m", "in.ethernet.h_dest == 1", `invariant "m" does not hold: in.ethernet.h_dest == 1 (in.ethernet.h_dest = 02:00:00:00:00:01)`},
		{"u", "ret == 1 and in.udp.dest == 1 and in.ipv6.saddr == in.ipv6.daddr and in.udp.csum_ok", `invariant "u" does not hold: ret == 1 and in.udp.dest == 1 and in.ipv6.saddr == in.ipv6.daddr and in.udp.csum_ok (ret = 2, in.udp.dest = absent, in.ipv6.saddr = absent, in.ipv6.daddr = absent, in.udp.csum_ok = absent)`},
		{"k", `map("hits")[in.ipv4.protocol] == 1`, `invariant "k" does not hold: map("hits")[in.ipv4.protocol] == 1 (in.ipv4.protocol = 6, map("hits")[in.ipv4.protocol] = 5)`},
		{"h", `has(map("hits")[9]) or 8 in map("hits")`, `invariant "h" does not hold: has(map("hits")[9]) or 8 in map("hits") (has(map("hits")[9]) = false, 8 in map("hits") = false)`},
		{"s", `steps[0].ret == 1 or ret == 1 or ret == 0 or in.byte[12] == 9`, `invariant "s" does not hold: steps[0].ret == 1 or ret == 1 or ret == 0 or in.byte[12] == 9 (steps[0].ret = 2, ret = 2, in.byte[12] = 8)`},
		{"v", `map("vips")[{addr: "10.9.8.7", port: 22, proto: 6}].backend == 0`, `invariant "v" does not hold: map("vips")[{addr: "10.9.8.7", port: 22, proto: 6}].backend == 0 (map("vips")[{addr: "10.9.8.7", port: 22, proto: 6}].backend = 31337)`},
	}
	for _, tt := range tests {
		err := mustCompile(t, tt.name, tt.text, xdpShape()).Judge(in, out)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\n got %v\nwant %s", tt.text, err, tt.want)
		}
	}
}

func TestConcurrent(t *testing.T) {
	o := mustCompile(t, "", `in.tcp.dest == out.tcp.dest and map("hits")[in.ipv4.protocol] == 5`, xdpShape())
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			good, gave := ran(2, tcpPacket(22), tcpPacket(22))
			bad, gaveBad := ran(2, tcpPacket(22), tcpPacket(23))
			for range 200 {
				if err := o.Judge(good, gave); err != nil {
					t.Error(err)
				}
				if o.Judge(bad, gaveBad) == nil {
					t.Error("a changed port was not seen")
				}
			}
		})
	}
	wg.Wait()
}
