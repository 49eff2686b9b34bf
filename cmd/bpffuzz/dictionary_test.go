package main

import (
	"slices"
	"strings"
	"testing"
)

func TestParseDictionary(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"empty":             {"", nil, ""},
		"comments":          {"# one\n\n   # two\n", nil, ""},
		"plain":             {"\"GET\"\n\"POST\"", []string{"GET", "POST"}, ""},
		"named":             {"verb=\"GET\"\r\nverb2 = \"PUT\"\n", []string{"GET", "PUT"}, ""},
		"levels":            {`a@1="x"` + "\n" + `b@20="y"`, []string{"x", "y"}, ""},
		"escapes":           {`"\x00\xfF\\\"a"`, []string{"\x00\xff\\\"a"}, ""},
		"other bytes":       {"\"\xfe#\"", []string{"\xfe#"}, ""},
		"no quotes":         {"GET", nil, "d:1: \"GET\" is no word in quotes"},
		"open":              {"\n\"GET", nil, "d:2: \"\\\"GET\" is no word in quotes"},
		"one quote":         {`"`, nil, "is no word in quotes"},
		"empty word":        {`a=""`, nil, "d:1: the word is empty"},
		"no equals sign":    {`a "b"`, nil, `d:1: "a" is followed by a word`},
		"quote inside":      {`"a"b"`, nil, `write \"`},
		"unknown escape":    {`"\n"`, nil, `"\\n": a backslash`},
		"half a byte":       {`"\x4"`, nil, "a backslash is written"},
		"no digits":         {`"\xzz"`, nil, "two hexadecimal digits"},
		"backslash at end":  {`"a\"`, nil, "a backslash is written"},
		"longest":           {`"` + strings.Repeat("a", maxWord) + `"`, []string{strings.Repeat("a", maxWord)}, ""},
		"longer":            {`"` + strings.Repeat("a", maxWord+1) + `"`, nil, "at most 128"},
		"escapes are short": {`"` + strings.Repeat(`\x41`, maxWord) + `"`, []string{strings.Repeat("A", maxWord)}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			words, err := parseDictionary("d", []byte(test.text))
			var got []string
			for _, w := range words {
				got = append(got, string(w))
			}
			switch {
			case test.err == "" && err != nil:
				t.Error(err)
			case test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("error %v, want one with %q", err, test.err)
			case test.err == "" && !slices.Equal(got, test.want):
				t.Errorf("words %q, want %q", got, test.want)
			}
		})
	}
}

func FuzzParseDictionary(f *testing.F) {
	f.Add([]byte("# c\na@1=\"\\x00\\\"\"\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		words, err := parseDictionary("d", text)
		if err != nil && !strings.HasPrefix(err.Error(), "d:") {
			t.Errorf("no line in %v", err)
		}
		for _, w := range words {
			if len(w) == 0 || len(w) > maxWord {
				t.Errorf("a word of %d bytes", len(w))
			}
		}
	})
}
