package corpus

import (
	"strconv"
	"unicode/utf8"
)

const longestEscape = len(`\U0010ffff`)

// appendUnquoted appends what a Go string literal in double quotes stands for, as
// strconv.Unquote does. Most of the time that a corpus takes to be read would be spent there
// else: nearly all that is quoted are hexadecimal escapes. It is not ok if quoted is no such
// literal, or may be none.
func appendUnquoted(dst, quoted []byte) (_ []byte, ok bool) {
	if len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
		return dst, false
	}
	for s := quoted[1 : len(quoted)-1]; len(s) > 0; {
		switch c := s[0]; {
		case c == '\\':
			if value, ok := hexEscape(s); ok {
				dst, s = append(dst, value), s[4:]
				continue
			}
			text := string(s[:min(len(s), longestEscape)])
			r, multibyte, rest, err := strconv.UnquoteChar(text, '"')
			if err != nil {
				return dst, false
			}
			if multibyte {
				dst = utf8.AppendRune(dst, r)
			} else {
				dst = append(dst, byte(r))
			}
			s = s[len(text)-len(rest):]
		case c == '"' || c == '\n':
			return dst, false
		case c < utf8.RuneSelf:
			dst, s = append(dst, c), s[1:]
		default:
			_, n := utf8.DecodeRune(s)
			if n == 1 {
				return dst, false // invalid UTF-8, which would become something else
			}
			dst, s = append(dst, s[:n]...), s[n:]
		}
	}
	return dst, true
}

// hexDigit returns the value of a hexadecimal digit.
func hexDigit(c byte) (value byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// hexEscape reads an escape such as \x0f at the start of s.
func hexEscape(s []byte) (value byte, ok bool) {
	if len(s) < 4 || s[1] != 'x' {
		return 0, false
	}
	high, ok1 := hexDigit(s[2])
	low, ok2 := hexDigit(s[3])
	return high<<4 | low, ok1 && ok2
}
