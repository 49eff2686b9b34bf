package fuzz

import (
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// sections are the global variables of a program after a run.
type sections map[string][]byte

func (s sections) Lookup(dst []byte, name string, _ []byte) ([]byte, bool, error) {
	value, ok := s[name]
	return append(dst, value...), ok, nil
}

// variablesOf is the shape of a program with one section.
func variablesOf(name string, fields ...corpus.Field) *corpus.Shape {
	return &corpus.Shape{Type: "xdp", Maps: []corpus.MapShape{{Name: name, Kind: "array", KeySize: 4, ValueSize: 16, Global: true, Value: fields}}}
}

// Variables are compared by name, wherever each program has them; what lies between them and
// what only one has is not.
func TestGlobalsDiffer(t *testing.T) {
	hits, drops := corpus.Field{Name: "hits", Size: 2}, corpus.Field{Name: "stats.drops[1]", Offset: 4, Size: 4}
	moved := func(f corpus.Field, offset int) corpus.Field { f.Offset = offset; return f }
	was := variablesOf(".bss", hits, drops, corpus.Field{Name: "gone", Offset: 8, Size: 8})
	now := variablesOf(".data", corpus.Field{Name: "added", Size: 4}, moved(drops, 4), moved(hits, 8))
	old := sections{".bss": {1, 2, 9, 9, 3, 4, 5, 6, 7, 7, 7, 7, 7, 7, 7, 7}}
	same := sections{".data": {8, 8, 8, 8, 3, 4, 5, 6, 1, 2, 0, 0, 0, 0, 0, 0}}
	other := sections{".data": {8, 8, 8, 8, 3, 4, 0, 6, 1, 2, 0, 0, 0, 0, 0, 0}}
	for _, tt := range []struct {
		name, ignore string
		now          sections
		want         string
	}{
		{"same values", "", same, ""},
		{"another value", "", other, "variable stats.drops[1] has the bytes 03 04 05 06 after the old program, 03 04 00 06 after the new one"},
		{"variable ignored", `var("stats")`, other, ""},
		{"other variable ignored", `var("hits")`, other, "variable stats.drops[1] has the bytes 03 04 05 06 after the old program, 03 04 00 06 after the new one"},
		{"section ignored", `map(".data")`, other, ""},
		{"maps ignored", "maps", other, ""},
		{"short section", "", sections{".data": {8}}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var words []string
			if tt.ignore != "" {
				words = []string{tt.ignore}
			}
			ignored, err := ParseIgnored(words)
			if err != nil {
				t.Fatal(err)
			}
			p := &Pair{shape: joinShapes(was, now), globals: sharedGlobals(was, now), ignored: ignored}
			if err := p.ignored.check(&p.shape, p.globals); err != nil {
				t.Fatal(err)
			}
			out := &corpus.Outcome{Maps: old}
			if err := p.differInMaps(out, &corpus.Outcome{Maps: tt.now}); err != nil {
				t.Fatal(err)
			}
			got := ""
			for _, e := range out.Events {
				got += e.Text
			}
			if got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

// Variables that cannot be told apart, or have another size, are not compared, and neither is
// where assertions are noted by line.
func TestSharedGlobals(t *testing.T) {
	f := func(name string, offset, size int) corpus.Field {
		return corpus.Field{Name: name, Offset: offset, Size: size}
	}
	was := variablesOf(".bss", f("a", 0, 4), f("twice", 4, 4), f("twice", 8, 4), f("wider", 12, 2))
	now := variablesOf(".bss", f("twice", 0, 4), f("wider", 4, 4), f("a", 8, 4))
	list := sharedGlobals(was, now)
	if len(list) != 1 || list[0].name != "a" || list[0].was.offset != 0 || list[0].now.offset != 8 {
		t.Errorf("shared are %+v", list)
	}
	if list := sharedGlobals(variablesOf(corpus.AssertMap, f("a", 0, 4)), variablesOf(corpus.AssertMap, f("a", 0, 4))); len(list) != 0 {
		t.Errorf("assertions are compared: %+v", list)
	}
}

// Comparing what is the same costs no memory, with parts of headers ignored as well.
func TestDifferDoesNotAllocate(t *testing.T) {
	frame := make([]byte, 34)
	frame[12], frame[14], frame[22] = 8, 0x45, 64
	changed := append([]byte(nil), frame...)
	changed[22] = 63
	shape := corpus.Shape{Type: "xdp", Output: []corpus.Field{{Name: "mark", Size: 4}}}
	in := &corpus.Input{Steps: []corpus.Step{{Packet: frame}, {Packet: frame}}}
	have := corpus.HaveRet | corpus.HavePacket | corpus.HaveContext
	outcome := func(packet []byte) *corpus.Outcome {
		step := corpus.StepOutcome{Ret: 2, Packet: packet, Context: make([]byte, 8)}
		return &corpus.Outcome{Have: have, Steps: []corpus.StepOutcome{step, step}}
	}
	for _, tt := range []struct {
		name    string
		ignored []string
		packet  []byte
	}{{"the same", nil, frame}, {"a field that is ignored", []string{"out.ipv4.ttl"}, changed}} {
		t.Run(tt.name, func(t *testing.T) {
			ignored, err := ParseIgnored(tt.ignored)
			if err != nil {
				t.Fatal(err)
			}
			p := &Pair{shape: shape, ignored: ignored}
			was, now, room := outcome(frame), outcome(tt.packet), &scratch{}
			if n := testing.AllocsPerRun(100, func() { p.differ(in, was, now, have, room) }); n != 0 || len(was.Events) != 0 {
				t.Errorf("%v allocations, differences %v; want none", n, was.Events)
			}
		})
	}
}
