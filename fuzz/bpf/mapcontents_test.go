package bpf

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
)

func TestEncodeMaps(t *testing.T) {
	got, err := encodeMaps(testSpec(), MapContents{
		"vips":   {{Key: map[string]any{"addr": "10.9.8.7", "port": 4433, "proto": 17}, Value: 31337}},
		"hits":   {{Key: 1, Value: 7}},
		"routes": {{Key: "10.0.0.0/8", Value: 1}, {Key: "0x0800000014000000", Value: 2}},
		"ports":  {{Key: 0, Value: 1}, {Key: 1, Value: map[string]any{"ifindex": 2}}},
		"cpus":   {{Key: 0, Value: 192}},
		"jmp":    {{Key: 2, Value: "callee"}},
		"todo":   {{Value: 5}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, m := range got {
		for _, i := range m.Items {
			lines = append(lines, fmt.Sprintf("%s %x %x%s", m.Name, i.Key, i.Value, i.Program))
		}
	}
	n := func(v uint32) string { return fmt.Sprintf("%x", native(v)) }
	want := []string{
		"cpus " + n(0) + " " + n(192),
		"hits " + n(1) + fmt.Sprintf(" %x", native(uint64(7))),
		"jmp " + n(2) + " callee",
		"ports " + n(0) + " " + n(1) + n(0),
		"ports " + n(1) + " " + n(2) + n(0),
		"routes " + n(8) + "0a000000 " + n(1),
		"routes 0800000014000000 " + n(2),
		"todo  " + n(5),
		"vips 0a09080711511100 " + n(31337),
	}
	if s := strings.Join(lines, "\n"); s != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", s, strings.Join(want, "\n"))
	}
}

func TestEncodeMapsErrors(t *testing.T) {
	one := func(name string, key, value any) MapContents { return MapContents{name: {{Key: key, Value: value}}} }
	tests := []struct {
		name     string
		contents MapContents
		want     string
	}{
		{"no map", one("vip", 1, 1), `maps: the object has no map "vip"; did you mean vips?`},
		{"member", one("vips", map[string]any{"ports": 1}, 1), `item 0: map vips key: has no member "ports"; did you mean port?`},
		{"index", one("hits", 2, 1), "item 0: map hits key: index 2 is outside of 0 to 1"},
		{"no key", one("hits", nil, 1), "item 0: map hits key: has no value; leave it out for zero"},
		{"key of a queue", one("todo", 1, 1), "item 0: map todo key: a queue takes values without a key"},
		{"prefix", one("routes", "10.0.0.0/33", 1), `item 0: map routes key: "10.0.0.0/33" is no prefix such as 10.0.0.0/8 or fd00::/64`},
		{"prefix size", one("routes", "fd00::/8", 1), "item 0: map routes key: the prefix fd00::/8 takes a key of 20 bytes, here are 8"},
		{"prefix length", one("routes", native(uint32(33), uint32(0)), 1), "item 0: map routes key: a prefix of 33 bits is longer than its 4 bytes"},
		{"program", one("jmp", 0, "calee"), `item 0: map jmp: the object has no program "calee"; did you mean callee?`},
		{"map of maps", one("inner", 0, 1), "item 0: map inner: contents of a map of maps cannot be given, since its inner maps have no name here: let the object fill it with .values"},
		{"sockets", one("socks", 0, 1), "item 0: map socks value: takes tcp for a socket that listens, or udp for one that is bound"},
		{"stream", one("events", 0, 1), "item 0: map events: a ringbuf has no contents that can be given: leave it empty"},
		{"section", one(".rodata", 0, "00"), "item 0: map .rodata: is a section of global data: set what is in it by name under variables"},
		{"twice", MapContents{"hits": {{Key: 1, Value: 1}, {Key: "0x1", Value: 2}}}, "item 1: map hits key: is given twice"},
		{
			"full",
			MapContents{"todo": {{Value: 1}}, "cpus": {{Key: 0, Value: 1}, {Key: 1, Value: 1}, {Key: 2, Value: 1}, {Key: 3, Value: 1}, {Key: 4, Value: 1}}},
			"item 4: map cpus: has room for 4 entries",
		},
		{"line", MapContents{"hits": {{Key: 5, Value: 1, At: "t.yaml:7"}}}, "t.yaml:7: map hits key: index 5 is outside of 0 to 1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := encodeMaps(testSpec(), tt.contents); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestSetContents(t *testing.T) {
	spec := testSpec()
	spec.Maps["vips"].Contents = []ebpf.MapKV{
		{Key: []byte{1, 1, 1, 1, 0, 0, 0, 0}, Value: uint32(1)},
		{Key: []byte{2, 2, 2, 2, 0, 0, 0, 0}, Value: uint32(2)},
	}
	encoded, err := encodeMaps(spec, MapContents{
		"vips": {{Key: map[string]any{"addr": "2.2.2.2"}, Value: 3}},
		"hits": {{Key: 0, Value: 7}},
		"todo": {{Value: 9}},
	})
	if err != nil {
		t.Fatal(err)
	}
	setContents(spec, encoded, 3)
	vips := spec.Maps["vips"].Contents
	if len(vips) != 2 || vips[0].Value != uint32(1) || !bytes.Equal(vips[1].Value.([]byte), native(uint32(3))) {
		t.Errorf("vips has %v", vips)
	}
	if got := spec.Maps["hits"].Contents[0].Value.([][]byte); len(got) != 3 || !bytes.Equal(got[2], native(uint64(7))) {
		t.Errorf("hits has %v", got)
	}
	if kv := spec.Maps["todo"].Contents[0]; kv.Key != nil {
		t.Errorf("todo has a key %v", kv.Key)
	}
}

func TestSetTailCalls(t *testing.T) {
	spec := testSpec()
	if err := setTailCalls(spec, map[string]map[uint32]string{"jmp": {0: "entry", 3: "callee"}}, nil); err != nil {
		t.Fatal(err)
	}
	if got := spec.Maps["jmp"].Contents; len(got) != 2 || got[0].Value != "entry" || got[1].Value != "callee" {
		t.Errorf("jmp has %v", got)
	}
	for _, tt := range []struct {
		name  string
		calls map[string]map[uint32]string
		want  string
	}{
		{"no map", map[string]map[uint32]string{"jump": {0: "entry"}}, `tail_calls: the object has no map "jump"; did you mean jmp?`},
		{"no program", map[string]map[uint32]string{"jmp": {0: "x"}}, `tail_calls.jmp[0]: the object has no program "x"; known are callee, entry, probe, tc`},
		{"not a prog array", map[string]map[uint32]string{"hits": {0: "entry"}}, `tail_calls: map "hits" is of kind percpu_array, not prog_array`},
		{"index", map[string]map[uint32]string{"jmp": {4: "entry"}}, "tail_calls.jmp[4]: index 4 is outside of 0 to 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := setTailCalls(testSpec(), tt.calls, nil); err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}
