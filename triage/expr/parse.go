package expr

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/parser"
)

const (
	// maxText bounds the length of an expression in bytes: the parser recurses.
	maxText = 16 << 10
	// maxNodes bounds the operators and operands of an expression.
	maxNodes = 4096
)

// before stands for "in" where it begins a path. "in" is an operator of the
// grammar, so the parser is given this name, which is as long.
const before = "_i"

// parse reads text with expr-lang's grammar.
func parse(text string) (node ast.Node, err error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the expression has %d bytes, at most %d are allowed", len(text), maxText)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the expression is not UTF-8 text")
	}
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("the expression is empty: write what has to be true after every run")
	}
	// The grammar is another project's and the text a user's.
	defer func() {
		if r := recover(); r != nil {
			node, err = nil, fmt.Errorf("the expression cannot be parsed: %v", r)
		}
	}()
	config := &conf.Config{MaxNodes: maxNodes, Functions: conf.FunctionsTable{"map": nil}}
	tree, err := parser.ParseWithConfig(pathsAsNames(text), config)
	if err == nil {
		ast.Walk(&tree.Node, renamer([]rune(text)))
		return tree.Node, nil
	}
	var at *file.Error
	if errors.As(err, &at) {
		return nil, positioned(text, at.Location, strings.ReplaceAll(at.Message, `"`+before+`"`, `"in"`))
	}
	return nil, err
}

// renamer gives paths back the name that they have in the text.
type renamer []rune

// Visit implements ast.Visitor.
func (text renamer) Visit(node *ast.Node) {
	id, ok := (*node).(*ast.IdentifierNode)
	if !ok || id.Value != before {
		return
	}
	if at := id.Location().From; at >= 0 && at+2 <= len(text) && string(text[at:at+2]) == "in" {
		id.Value = "in"
	}
}

// positioned puts a place in text in front of a message. Columns count
// characters from 1.
func positioned(text string, at file.Location, message string) error {
	line, column, i := 1, 1, 0
	for _, r := range text {
		if i == at.From {
			break
		}
		i++
		column++
		if r == '\n' {
			line, column = line+1, 1
		}
	}
	if strings.Contains(strings.TrimRight(text, "\n"), "\n") {
		return fmt.Errorf("line %d, column %d: %s", line, column, message)
	}
	return fmt.Errorf("column %d: %s", column, message)
}

// pathsAsNames replaces each "in" that a dot follows outside of strings and
// comments, keeping the place of everything else.
func pathsAsNames(text string) string {
	var b strings.Builder
	for rest, previous := text, ' '; rest != ""; {
		n := 1
		switch {
		case strings.ContainsRune("\"'`", rune(rest[0])):
			n = quoted(rest)
		case strings.HasPrefix(rest, "//"):
			n = until(rest, "\n")
		case strings.HasPrefix(rest, "/*"):
			n = until(rest, "*/")
		case !inWord(previous) && previous != '.' && beginsPath(rest):
			b.WriteString(before)
			rest, previous = rest[2:], 'n'
			continue
		default:
			previous, n = utf8.DecodeRuneInString(rest)
			b.WriteString(rest[:n])
			rest = rest[n:]
			continue
		}
		b.WriteString(rest[:n])
		rest, previous = rest[n:], ' '
	}
	return b.String()
}

func beginsPath(s string) bool {
	s, ok := strings.CutPrefix(s, "in")
	if !ok {
		return false
	}
	s = strings.TrimLeftFunc(s, unicode.IsSpace)
	return strings.HasPrefix(s, ".") && !strings.HasPrefix(s, "..") && (len(s) < 2 || s[1] < '0' || s[1] > '9')
}

func inWord(r rune) bool {
	return r == '_' || r == '$' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

// until returns the length of s up to and including end.
func until(s, end string) int {
	if i := strings.Index(s, end); i >= 0 {
		return i + len(end)
	}
	return len(s)
}

// quoted returns the length of the string literal that s begins with.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && s[0] != '`':
			i++
		case s[i] == s[0]:
			return i + 1
		}
	}
	return len(s)
}
