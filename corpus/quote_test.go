package corpus

import (
	"bytes"
	"strconv"
	"testing"
)

// sameAsStrconv checks that what appendUnquoted takes means the same to strconv.
func sameAsStrconv(t *testing.T, quoted string) (ok bool) {
	t.Helper()
	got, ok := appendUnquoted([]byte("before"), []byte(quoted))
	if !ok {
		return false
	}
	want, err := strconv.Unquote(quoted)
	if err != nil {
		t.Errorf("%s is taken for %q; strconv: %v", quoted, got, err)
	} else if string(got) != "before"+want {
		t.Errorf("%s is taken for %q, not %q", quoted, got, want)
	}
	return true
}

func TestAppendUnquoted(t *testing.T) {
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	for _, test := range []struct {
		name, quoted string
		ok           bool
	}{
		{"nothing", `""`, true},
		{"every byte", strconv.Quote(string(every)), true},
		{"every byte as ASCII", strconv.QuoteToASCII(string(every)), true},
		{"capital digits", `"\xAF"`, true},
		{"runes", `"\u0080\U0010ffffé"`, true},
		{"octal digits", `"\101"`, true},
		{"not quoted", `abc`, false},
		{"one quote", `"`, false},
		{"a quote within", `"a"b"`, false},
		{"a line end within", "\"a\nb\"", false},
		{"cut off", `"\x0"`, false},
		{"an escaped quote at the end", `"\"`, false},
		{"no digits", `"\xgg"`, false},
		{"a surrogate", `"\ud800"`, false},
		{"raw", "`a`", false},
		{"invalid UTF-8, which strconv replaces", "\"\xff\"", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := sameAsStrconv(t, test.quoted); got != test.ok {
				t.Errorf("taken: %v, want %v", got, test.ok)
			}
		})
	}
}

func FuzzAppendUnquoted(f *testing.F) {
	f.Add([]byte(`\x00\n\u00e9é`))
	f.Fuzz(func(t *testing.T, b []byte) {
		sameAsStrconv(t, `"`+string(b)+`"`)
		if quoted := strconv.Quote(string(b)); !sameAsStrconv(t, quoted) {
			t.Errorf("%s is not taken", quoted)
		}
	})
}

func TestAppendUnquotedDoesNotAllocate(t *testing.T) {
	quoted := []byte(strconv.Quote("text\x00\u0080\n" + string(bytes.Repeat([]byte{0xfe}, 100))))
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() { appendUnquoted(dst, quoted) }); n != 0 {
		t.Errorf("appendUnquoted allocates %v times", n)
	}
}
