package bpf

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// testLimits are those of an x86-64 kernel.
var testLimits = kernel.Limits{Min: 14, Max: 3520, Frags: 73152, Meta: 216}

func TestShapeByType(t *testing.T) {
	spec := testSpec()
	frags := spec.Programs["entry"].Copy()
	frags.Flags |= unix.BPF_F_XDP_HAS_FRAGS
	act := spec.Programs["tc"].Copy()
	act.Type = ebpf.SchedACT
	tests := []struct {
		name string
		prog *ebpf.ProgramSpec
		want string
	}{
		{"xdp", spec.Programs["entry"], "xdp packet 14-3520 ip 0/0 meta 216 context 24: ingress_ifindex"},
		{"frags", frags, "xdp packet 14-73152 ip 0/0 meta 216 context 24: ingress_ifindex"},
		{"cls", spec.Programs["tc"], "sched_cls packet 14-3520 ip 34/54 meta 0 context 192: " + skbNames},
		{"act", act, "sched_act packet 14-3520 ip 34/54 meta 0 context 192: " + skbNames},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := newShape(spec, tt.prog, testLimits)
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, f := range s.Context {
				names = append(names, f.Name)
			}
			got := fmt.Sprintf("%s packet %d-%d ip %d/%d meta %d context %d: %s", s.Type, s.Packet.Min, s.Packet.Max,
				s.MinIPv4, s.MinIPv6, s.Meta.Max, s.ContextSize, strings.Join(names, " "))
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			if !s.Closed || len(s.Verdicts) == 0 {
				t.Error("the set of verdicts is not closed")
			}
		})
	}
}

const skbNames = "mark priority ingress_ifindex ifindex cb[0] cb[1] cb[2] cb[3] cb[4] tstamp wire_len gso_segs gso_size hwtstamp"

func TestShapeOfOtherTypes(t *testing.T) {
	spec := testSpec()
	_, err := newShape(spec, spec.Programs["probe"], testLimits)
	const want = `program "probe" has type kprobe, which cannot be run: `
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s...", err, want)
	}
}

func TestVerdictNames(t *testing.T) {
	spec := testSpec()
	for prog, want := range map[string]map[uint32]string{
		"entry": {0: "XDP_ABORTED", 4: "XDP_REDIRECT", 5: ""},
		"tc":    {0xffffffff: "TC_ACT_UNSPEC", 2: "TC_ACT_SHOT", 8: "TC_ACT_TRAP", 9: ""},
	} {
		s, err := newShape(spec, spec.Programs[prog], testLimits)
		if err != nil {
			t.Fatal(err)
		}
		for ret, name := range want {
			if got := s.VerdictName(ret); got != name {
				t.Errorf("%s: %d is %q, want %q", prog, ret, got, name)
			}
		}
	}
}

func TestShapeMaps(t *testing.T) {
	spec := testSpec()
	s, err := newShape(spec, spec.Programs["entry"], testLimits)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range s.Maps {
		got = append(got, fmt.Sprintf("%s %s %d:%d fields %d:%d %q", m.Name, m.Kind, m.KeySize, m.ValueSize, len(m.Key), len(m.Value), m.Lasting))
	}
	want := []string{
		`.bss array 4:8 fields 0:1 ""`,
		`flows lru_hash 8:88 fields 4:32 "order of an LRU"`, // by way of the tail call
		`vips hash 8:4 fields 4:1 ""`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	spec.Maps["jmp"].Contents = nil
	if s, err = newShape(spec, spec.Programs["entry"], testLimits); err != nil || len(s.Maps) != 2 {
		t.Errorf("without a tail call there are %d maps, %v", len(s.Maps), err)
	}
}

func TestMapShapeLasting(t *testing.T) {
	timer := structOf("bpf_timer", 16, memberAt("__opaque", 0, arrayOf(testU64, 2)))
	for _, tt := range []struct {
		name string
		m    ebpf.MapSpec
		want string
	}{
		{"hash", ebpf.MapSpec{Type: ebpf.Hash, ValueSize: 8, Value: testU64}, ""},
		{"timer", ebpf.MapSpec{Type: ebpf.Hash, ValueSize: 24, Value: structOf("v", 24, memberAt("n", 0, testU64), memberAt("t", 8, timer))}, "timers"},
		{"kptr", ebpf.MapSpec{Type: ebpf.Array, ValueSize: 8, Value: structOf("v", 8, memberAt("p", 0, &btf.Pointer{Target: testU8}))}, "objects of the kernel"},
		{"lru of timers", ebpf.MapSpec{Type: ebpf.LRUHash, ValueSize: 16, Value: timer}, "order of an LRU"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, ok := newMapShape("m", &tt.m)
			if !ok || m.Lasting != tt.want {
				t.Errorf("got %q, %t, want %q", m.Lasting, ok, tt.want)
			}
		})
	}
	for _, typ := range []ebpf.MapType{ebpf.ProgramArray, ebpf.RingBuf, ebpf.SockMap, ebpf.DevMap, ebpf.Queue} {
		if _, ok := newMapShape("m", &ebpf.MapSpec{Type: typ}); ok {
			t.Errorf("a %s counts as state", typ)
		}
	}
}

func TestMapShapeKeys(t *testing.T) {
	prefix := structOf("p", 8, memberAt("bits", 0, testU32), memberAt("addr", 4, testBe32))
	for _, tt := range []struct {
		name string
		m    ebpf.MapSpec
		want string
	}{
		{"array", ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 256}, "value<=255"},
		{"single", ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 4, MaxEntries: 1, Key: testU32}, ""},
		{"trie", ebpf.MapSpec{Type: ebpf.LPMTrie, KeySize: 8, ValueSize: 4, MaxEntries: 256, Key: prefix}, "bits<=32 addr<=0"},
		{"hash", ebpf.MapSpec{Type: ebpf.Hash, KeySize: 8, ValueSize: 4, MaxEntries: 256, Key: prefix}, "bits<=0 addr<=0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, _ := newMapShape("m", &tt.m)
			var got []string
			for _, f := range m.Key {
				got = append(got, fmt.Sprintf("%s<=%d", f.Name, f.Max))
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
		})
	}
}

func TestMapKindsAreComplete(t *testing.T) {
	seen := map[string]bool{}
	for typ := ebpf.Hash; typ <= ebpf.Arena; typ++ {
		k := kindOf(typ)
		if seen[k.name] || mapKinds()[typ].name == "" {
			t.Errorf("type %s has no name of its own: %q", typ, k.name)
		}
		seen[k.name] = true
	}
	if k := kindOf(ebpf.Arena + 1); k.data || k.name == "" {
		t.Errorf("an unknown type is %+v", k)
	}
}

func TestDictionary(t *testing.T) {
	spec := testSpec()
	spec.Maps["vips"].Contents = []ebpf.MapKV{{Key: []byte{10, 0, 0, 1, 0, 80, 6, 0}, Value: uint32(31337)}}
	s, err := newShape(spec, spec.Programs["entry"], testLimits)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range s.Dictionary {
		got = append(got, fmt.Sprintf("%x", w))
	}
	for _, want := range []string{
		"dd86", "86dd", "0000dd86", "86dd0000", // a comparison
		"0800", "0008", // htons(0x0800) in a comparison
		"12345678", "78563412", // a store
		"1122334455667788", "8877665544332211", // a constant of eight bytes
		"1151", "5111", // the callee's comparison, and a constant in .rodata
		"6d61676963",                             // a text in .rodata
		"0a00000100500600",                       // an initial key
		fmt.Sprintf("%x", native(uint32(31337))), // an initial value
		"0004", "0600",                           // an enum of a value
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is missing in %v", want, got)
		}
	}
	for _, not := range []string{"ffea", "ffffffea", "0001", "0000000000000000"} {
		if slices.Contains(got, not) {
			t.Errorf("%s is trivial", not)
		}
	}
	again, err := newShape(testSpec(), testSpec().Programs["callee"], testLimits)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		more, err := newShape(testSpec(), testSpec().Programs["callee"], testLimits)
		if err != nil || !slices.EqualFunc(more.Dictionary, again.Dictionary, slices.Equal[[]byte]) {
			t.Fatalf("the dictionary differs from run to run, %v", err)
		}
	}
}

func TestDictionaryIsBounded(t *testing.T) {
	d := dictionary{seen: map[string]bool{}}
	for i := range int64(10 * maxWords) {
		d.number(1<<20 + i)
	}
	if len(d.words) != maxWords {
		t.Errorf("%d words, want %d", len(d.words), maxWords)
	}
	d = dictionary{seen: map[string]bool{}}
	d.add(make([]byte, maxWord+1))
	d.add([]byte{1})
	d.add([]byte{7, 7, 7})
	d.text([]byte("ret %d"))
	if len(d.words) != 0 {
		t.Errorf("words %x, want none", d.words)
	}
}

// newShape describes a program of spec without a namespace to run it in.
func newShape(spec *ebpf.CollectionSpec, prog *ebpf.ProgramSpec, lim kernel.Limits) (*corpus.Shape, error) {
	row, err := rowOf(prog)
	if err != nil {
		return nil, err
	}
	return row.shape(spec, prog, lim, nil), nil
}
