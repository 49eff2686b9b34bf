package expr

import (
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

func TestErrors(t *testing.T) {
	tests := []struct{ text, want string }{
		{"", "the expression is empty"},
		{" \n", "the expression is empty"},
		{"ret == \xff", "not UTF-8"},
		{strings.Repeat("(", maxText+1), "at most 16384 are allowed"},
		{"ret == ", "column 7: unexpected token EOF"},
		{"in == 1", `column 1: unexpected token Operator("in")`},
		{"ret\n  == 1 &&\n  rett == 1", `line 3, column 3: unknown name "rett"; did you mean ret?`},
		{"true", "the expression reads nothing of a run"},
		{"ret", "column 1: an invariant has to be true or false, this is a number"},
		{"verdict", "this is a verdict"},
		{`verdict == "XDP_PAS"`, `column 12: xdp has no verdict "XDP_PAS"; known are XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX and XDP_REDIRECT`},
		{`verdict == "TC_ACT_SHOT"`, `xdp has no verdict "TC_ACT_SHOT"`},
		{"verdict == 2", `verdict is a name: compare it with one such as "XDP_ABORTED", or ret with the number`},
		{"verdict < 2", "column 1: the left side of < has to be a number, this is a verdict"},
		{`verdict in 1..2`, "a verdict cannot be in a range of numbers"},
		{"in.ipv4.tll == 1", `column 9: in.ipv4 has no field "tll"; did you mean ttl?`},
		{"in.tcp.dport == 1", `column 8: in.tcp has no field "dport"; did you mean dest?`},
		{"in.ipv5.ttl == 1", `column 4: in has no layer "ipv5"; did you mean ipv4 or ipv6?`},
		{"out.ctx.mark == 1", `column 5: out has no layer "ctx"`},
		{"in.icmp.csum_okay", `in.icmp has no field "csum_okay"; did you mean csum_ok?`},
		{"in.vxlan.csum_ok", `in.vxlan has no field "csum_ok"`},
		{"in.ipv4 == 1", "column 4: in.ipv4 needs a field: present, csum_ok, version"},
		{"in.ipv4[1] == 1", "in.ipv4[1] needs a field"},
		{"in.ipv4[ret].ttl == 1", "column 9: the number of a layer has to be a literal from 0 to 23"},
		{"in.ipv4[24].ttl == 1", "a literal from 0 to 23"},
		{"in.ipv4.ttl.x == 1", `column 13: in.ipv4.ttl has no member "x"`},
		{"ret[0] == 1", "column 5: ret has no elements"},
		{"in.byte == 1", "in.byte needs an offset, as in in.byte[12]"},
		{`in.byte["x"] == 1`, "in.byte needs an offset"},
		{"in.len[0] == 1", "in.len has no elements"},
		{"in.ipv4.ttl == 256", "column 16: the value it is compared with is an unsigned number of 8 bits and never equals 256"},
		{"ret == -1", "an unsigned number of 32 bits and never equals -1"},
		{"ret in [1, 0x100000000]", "column 12: the value it is compared with is an unsigned number of 32 bits and never equals 4294967296"},
		{"ctx.marc == 1", `column 5: ctx has no field "marc"; did you mean mark?`},
		{"ctx == 1", "column 1: ctx needs a field; known are mark, cb[0], cb[1], remote_ip4 and tstamp"},
		{"ctx.cb[9] == 1", `ctx has no field "cb[9]"; did you mean cb[0] or cb[1]?`},
		{"in.ctx.tstamp == 1", `in.ctx has no field "tstamp"`},
		{`map("hit")[1] == 1`, `column 5: there is no map "hit"; did you mean hits?`},
		{`map("hits") == 1`, `column 1: map "hits" needs a key, as in map("hits")[1]`},
		{`map(hits)[1] == 1`, "map takes the name of a map as a text"},
		{`map("events")[1] == 1`, `map "events" is a ringbuf, which has no keys to look up`},
		{`map("hits")[1].x == 1`, `column 16: the value of map "hits" has no field "x"`},
		{`map("vips")[1].flags == 1`, `a key of map "vips" has several fields: write {addr, port and proto: ...}`},
		{`map("vips")[{addr: 1}] == 1`, "has several fields: choose backend or flags"},
		{`map("vips")[{adr: 1}].flags == 1`, `column 14: a key of map "vips" has no field "adr"; did you mean addr?`},
		{`map("vips")[{port: 1, port: 2}].flags == 1`, `"port" is there twice`},
		{`map("vips")[{port: 65536}].flags == 1`, `column 20: 65536 does not fit the 2 bytes that a key of map "vips" has here`},
		{`map("vips")[{addr: "fd00::1"}].flags == 1`, `"fd00::1" is no IPv4 address`},
		{`map("vips")[{port: "http"}].flags == 1`, `texts are verdicts and addresses`},
		{`map("vips")["10.9.8.7"].flags == 1`, `"10.9.8.7" is no key of map "vips": it takes an address of 8 bytes`},
		{`map("raw")[1] == 1`, `a key of map "raw" has 16 bytes of which the object does not say what they mean`},
		{`map("raw")[{a: 1}] == 1`, `the object does not say what fields a key of map "raw" has`},
		{`map("opaque")[1] == 1`, `a key of map "opaque" has 3 bytes`},
		{`has(ret)`, "has takes an entry of a map"},
		{`has(map("vips")[{}].flags)`, "has takes an entry, not a field of it"},
		{`has()`, "has takes 1 arguments, here are 0"},
		{"steps.ret == 1", "write steps[0].verdict"},
		{"steps[4].ret == 1", "column 7: an index of steps has to be a literal from 0 to 3"},
		{"steps[0].retx == 1", `unknown name "retx"; did you mean ret?`},
		{"steps[0].nsteps == 1", `unknown name "nsteps"`},
		{"steps[0][1] == 1", "steps[0] has members, not elements"},
		{"len(in) == 1", `unexpected token Operator("in")`},
		{"len(out) == 1", "len is for steps"},
		{"all(steps, ret == 1)", `there is no function "all" in invariants`},
		{"bitnd(ret, 1) == 1", `column 1: there is no function "bitnd" in invariants; did you mean bitand`},
		{"bitand(ret) == 1", "bitand takes 2 arguments, here are 1"},
		{"ret.abs() == 1", "values have no functions of their own"},
		{"ret == 1.5", "column 8: a number with a fraction is not part of invariants"},
		{"ret == nil", "nil is not part of invariants"},
		{"ret ** 2 == 4", `column 5: the operator "**" is not part of invariants`},
		{`verdict matches "XDP.*"`, `the operator "matches" is not part of invariants`},
		{"let x = ret; x == 1", "let is not part of invariants"},
		{"ret == 1; ret == 2", `";" is not part of invariants`},
		{"in?.len == 1", `unexpected token`},
		{"out?.len == 1", `"?." (what is absent makes no trouble, so "." will do) is not part of invariants`},
		{"ret[1:2] == 1", "a slice is not part of invariants"},
		{"[1] == ret", `a list without "in" in front of it`},
		{"{a: 1} == ret", "a literal of members outside of a map's key"},
		{"1..2 == ret", `a range without "in"`},
		{"ret in 5", `"in" needs a list`},
		{"ret in 5..2", "the range 5..2 is empty"},
		{`ret in "10.0.0.0/8" and verdict in "10.0.0.0/8"`, "no verdict"},
		{`in.ipv4.saddr in "10.0.0.0/33"`, `"10.0.0.0/33" is no network`},
		{`in.ipv4.saddr in "fd00::/8"`, "compared with something that is no address of its kind"},
		{`ctx.mark in "10.0.0.0/8"`, "a field in the machine's byte order cannot be compared with the network"},
		{`in.ipv4.saddr == "10.0.0"`, `column 18: "10.0.0" is no IPv4 address such as "10.9.8.7"`},
		{`in.ethernet.h_dest == "02:00"`, `is no hardware address such as`},
		{`in.ipv6.saddr == "10.0.0.1"`, `"10.0.0.1" is no IPv6 address`},
		{`in.ipv6.saddr == 1`, "an IPv6 address cannot equal a number"},
		{`in.ipv4.ttl == "x"`, `the text "x" is compared with a number`},
		{"ret and true", "column 1: the left side of and has to be true or false, this is a number: compare it with something"},
		{"true or ret", "the right side of or has to be true or false"},
		{"not ret", "what not stands before has to be true or false"},
		{"-true == ret", "what - stands before has to be a number"},
		{`ret + "x" == 1`, `what + works on has to be a number, "x" is a text`},
		{"ret == 1 / 0", "/ of 1 and 0 has no result"},
		{"ret ? 1 : 2", "a condition has to be true or false"},
		{"ret == 1 ? 1 : true", "both results have to be numbers, or true or false"},
		{"true in [1]", "only numbers, verdicts and addresses can be in something"},
		{"foo(1) == 1", `there is no function "foo"`},
		{"(1)(2)", "unexpected token"},
		{"5.x == 1", "bad number syntax"},
		{"_i.len == 1", `unknown name "_i"`},
		{`"a".b == 1`, "only names and map(...) have members and elements"},
	}
	for _, tt := range tests {
		_, err := Compile("n", tt.text, xdpShape())
		if err == nil || !strings.HasPrefix(err.Error(), `invariant "n": `) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%.60s:\n got %v\nwant %s", tt.text, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), `"_i."`)) {
			t.Errorf("%.60s: %v is not in the user's words and on one line", tt.text, err)
		}
	}
}

func TestErrorsOfBareTargets(t *testing.T) {
	for text, want := range map[string]string{
		`verdict == "pass"`: "the verdicts of the target have no names: compare ret with a number",
		"ctx.mark == 1":     `ctx has no field "mark"; there are none`,
		`map("a")[1] == 1`:  `there is no map "a"; there are none`,
		"steps[1].ret == 1": "from 0 to 0",
	} {
		if _, err := Compile("", text, &corpus.Shape{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// Types that give no packet back have an input packet alone.
func TestErrorsWithoutResult(t *testing.T) {
	shape := &corpus.Shape{Type: "netfilter", Packet: corpus.Bounds{Min: 34, Max: 100}, NoResult: true}
	if _, err := Compile("", "in.ipv4.ttl > 0", shape); err != nil {
		t.Error(err)
	}
	const want = "programs of type netfilter give no packet back: look at ret, ctx or map"
	for _, text := range []string{"out.ipv4.ttl > 0", "out.len > 0", "steps[0].out.len > 0"} {
		if _, err := Compile("", text, shape); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestVerdictsOfTC(t *testing.T) {
	shape := &corpus.Shape{Type: "sched_cls", Verdicts: []corpus.Verdict{{Value: 0xffffffff, Name: "TC_ACT_UNSPEC"}, {Value: 0, Name: "TC_ACT_OK"}, {Value: 2, Name: "TC_ACT_SHOT"}}}
	in, out := ran(0xffffffff, tcpPacket(22), tcpPacket(22))
	for text, holds := range map[string]bool{
		`verdict == "unspec"`: true, `verdict == "TC_ACT_UNSPEC" and ret == 0xffffffff`: true, `verdict in ["ok", "shot"]`: false, `verdict in ["ok", "Unspec"]`: true,
	} {
		if err := mustCompile(t, "", text, shape).Judge(in, out); (err == nil) != holds {
			t.Errorf("%s: %v", text, err)
		}
	}
	out.Steps[0].Ret = 77
	if err := mustCompile(t, "", `verdict == "ok"`, shape).Judge(in, out); err == nil || !strings.Contains(err.Error(), "(verdict = 77)") {
		t.Errorf("a value without a name shows as %v", err)
	}
}

func TestPathsAsNames(t *testing.T) {
	for text, want := range map[string]string{
		"in.len":                  "_i.len",
		"x in in.len":             "x in _i.len",
		"min.len":                 "min.len",
		"steps[0].in.len":         "steps[0].in.len",
		"in .len":                 "_i .len",
		`"in.len" == 'in.\'in.x'`: `"in.len" == 'in.\'in.x'`,
		"`in.\\` in.x":            "`in.\\` _i.x",
		"// in.a\nin.b":           "// in.a\n_i.b",
		"/* in.a */in.b":          "/* in.a */_i.b",
		"ret in.5":                "ret in.5",
		"ñin.len (in.é)":          "ñin.len (_i.é)",
		`"open in.a`:              `"open in.a`,
	} {
		if got := pathsAsNames(text); got != want {
			t.Errorf("%s becomes %s, want %s", text, got, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, seed := range []string{
		`verdict == "XDP_DROP" or in.tcp.dest != 22`, `map("vips")[{addr: "10.9.8.7", port: in.tcp.dest}].flags == 1`,
		`in.ipv6.saddr in ["fd00::/8", "::1"] ? ret < 2 : steps[0].out.byte[1] == 1`, "in.x.y", "has(map(", "ret in 1..", "`", "b'\\x", "ret ?? 1",
		"if ret == 1 { true } else { false }", "in.ipv4[1].ttl | len", "#", "all(steps, #)", "-9223372036854775808 / -1 == ret",
	} {
		f.Add(seed)
	}
	in, out := ran(2, tcpPacket(22), tunnel())
	f.Fuzz(func(t *testing.T, text string) {
		o, err := Compile("", text, xdpShape())
		if err != nil {
			if strings.Contains(err.Error(), "cannot be parsed") {
				t.Errorf("the parser panics: %v", err)
			}
			return
		}
		first := o.Judge(in, out)
		if again := o.Judge(in, out); (first == nil) != (again == nil) {
			t.Errorf("judged twice: %v and %v", first, again)
		}
	})
}
