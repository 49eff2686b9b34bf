package fuzztest

import (
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// table is maps of one entry: key 1, 2 has value 3, 4 in native order.
type table struct{}

func (table) Lookup(dst []byte, name string, key []byte) ([]byte, bool, error) {
	if len(key) != 4 || key[0]+key[1]+key[2]+key[3] != 3 {
		return dst, false, nil
	}
	value, err := appendValue(dst, struct{ A, B uint16 }{3, 4})
	return value, true, err
}

func TestLookup(t *testing.T) {
	type pair struct{ A, B uint16 }
	for _, test := range []struct {
		name       string
		key, value any
		found      bool
		err        string
	}{
		{"structs", pair{1, 2}, new(pair), true, ""},
		{"array", [2]uint16{1, 2}, new([4]byte), true, ""},
		{"integers", uint32(3), new(uint32), true, ""},
		{"bytes", []byte{0, 1, 0, 2}, new([]byte), true, ""},
		{"no entry", pair{1, 1}, new(pair), false, ""},
		{"key without a size", 3, new(pair), false, "int has no fixed size"},
		{"value without a size", pair{1, 2}, new(int), false, "*int is no pointer to something of fixed size"},
		{"value too large", pair{1, 2}, new(uint64), false, "*uint64 has 8 bytes, the map's values have 4"},
		{"no pointer", pair{1, 2}, pair{}, false, "reading the value"},
	} {
		t.Run(test.name, func(t *testing.T) {
			found := false
			c := testCall(func(t *T, _ *corpus.Input, _ *corpus.Outcome) { found = t.Lookup("m", test.key, test.value) })
			in, out := testRun()
			out.Have |= corpus.HaveMaps
			out.Maps = table{}
			err := c.do(in, out, nil)
			if found != test.found || (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("found %v, error %v; want %v and %q", found, err, test.found, test.err)
			}
			if p, ok := test.value.(*pair); ok && found && *p != (pair{3, 4}) {
				t.Errorf("value %+v", *p)
			}
		})
	}
}
