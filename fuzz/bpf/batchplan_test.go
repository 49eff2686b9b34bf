package bpf

import (
	"fmt"
	"strings"
	"testing"
)

// A letter is a step with that key, a word an input.
func TestInputsOfOneKeyComeTogether(t *testing.T) {
	for _, test := range []struct{ name, in, want string }{
		{"nothing", "", ""},
		{"one key", "a a a", "a0 a1 a2"},
		{"single steps", "a b a c b a", "a0 a2 a5 | b1 b4 | c3"},
		{"sequences", "aa bbb a bb aaa", "a0 a1 a5 a8 a9 a10 | b2 b3 b4 b6 b7"},
		{"several keys in an input", "aba c bb cab ac", "a0 | b1 | a2 a9 | c10 c3 c6 | a7 | b8 b4 b5"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := &batchExecutor{looksAt: looksAt{headers: true}, next: make([]int, 16), table: make([]keyEntry, 32)}
			slot := 0
			for _, input := range strings.Fields(test.in) {
				for n, letter := range input {
					b.jobs = append(b.jobs, job{slot: slot, last: n == len(input)-1, key: key{header: uint32(letter)}})
					slot++
				}
			}
			for range 2 { // what the first batch left makes no difference
				jobs := append([]job(nil), b.jobs...)
				b.order()
				if got := b.rowsText(); got != test.want {
					t.Errorf("ran %q, want %q", got, test.want)
				}
				b.jobs = jobs
			}
		})
	}
}

// rowsText lists keys and slots, with a bar where another row begins.
func (b *batchExecutor) rowsText() string {
	var words []string
	row := 1
	for i, j := range b.jobs {
		if row < len(b.rows) && b.rows[row] == i {
			words = append(words, "|")
			row++
		}
		words = append(words, fmt.Sprintf("%c%d", j.key.header, j.slot))
	}
	return strings.Join(words, " ")
}
