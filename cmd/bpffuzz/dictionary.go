package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// maxDictionary bounds the size of a dictionary file in bytes.
const maxDictionary = 16 << 20

// maxWord is the longest word that mutators take.
const maxWord = 128

// readDictionary reads a dictionary as AFL and libFuzzer write them: a word in
// quotes to a line, maybe with NAME= or NAME@LEVEL= in front, with \\, \" and \xHH
// in it; empty lines and those that start with # say nothing. Words of every level
// are taken. Errors name the line.
func readDictionary(path string) ([][]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("reading dictionary: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxDictionary {
		return nil, fmt.Errorf("reading dictionary %s: not a regular file of at most %d MiB", path, maxDictionary>>20)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading dictionary: %w", err)
	}
	return parseDictionary(path, text)
}

func parseDictionary(path string, text []byte) (words [][]byte, err error) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		word, err := parseWord(strings.TrimSpace(string(line)))
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", path, n, err)
		}
		if len(word) > 0 {
			words = append(words, word)
		}
	}
	return words, nil
}

// parseWord returns nil for a line without a word.
func parseWord(line string) ([]byte, error) {
	if line == "" || line[0] == '#' {
		return nil, nil
	}
	open := strings.IndexByte(line, '"')
	if open < 0 || len(line) < open+2 || !strings.HasSuffix(line, `"`) {
		return nil, fmt.Errorf(`%q is no word in quotes, such as name="\x7fELF"`, line)
	}
	if name := strings.TrimSpace(line[:open]); name != "" && !strings.HasSuffix(name, "=") {
		return nil, fmt.Errorf("%q is followed by a word: write NAME= in front of it", name)
	}
	word, err := unescape(line[open+1 : len(line)-1])
	switch {
	case err != nil:
		return nil, err
	case len(word) == 0:
		return nil, fmt.Errorf("the word is empty")
	case len(word) > maxWord:
		return nil, fmt.Errorf("the word has %d bytes, at most %d are taken", len(word), maxWord)
	}
	return word, nil
}

func unescape(s string) ([]byte, error) {
	var word []byte
	for s != "" {
		switch {
		case s[0] == '"':
			return nil, fmt.Errorf(`a quote inside the word: write \"`)
		case s[0] != '\\':
			word, s = append(word, s[0]), s[1:]
		case len(s) >= 2 && (s[1] == '\\' || s[1] == '"'):
			word, s = append(word, s[1]), s[2:]
		case len(s) >= 4 && s[1] == 'x':
			v, err := strconv.ParseUint(s[2:4], 16, 8)
			if err != nil {
				return nil, fmt.Errorf(`%q is no \x with two hexadecimal digits`, s[:4])
			}
			word, s = append(word, byte(v)), s[4:]
		default:
			return nil, fmt.Errorf(`%q: a backslash is written \\, a quote \", any byte \x and two digits`, s[:min(len(s), 4)])
		}
	}
	return word, nil
}
