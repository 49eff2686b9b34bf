package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"unicode"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
)

// The rules of what the command says:
//
//   - Standard output has results only: what replay, probe and version were asked
//     for, and with --json one object in the last line. A run without --json
//     writes nothing to it.
//   - Everything else goes to standard error, each line with "bpffuzz: " in front.
//   - An error is one line, the last one, and says what to do. A verifier's log
//     follows it indented: its end, or all of it with -v.
//   - Warnings do not end anything. Details are shown with -v only.
//   - No colours, no cursor movements: what a terminal shows is what a log has. Names
//     come from foreign files, so control characters in them are replaced. The exception is
//     the screen of run and campaign; what is said while it is shown is said again after it.

// ui prints. It is safe for concurrent use once verbose is set.
type ui struct {
	stdout, stderr io.Writer
	verbose        bool

	parent *ui    // says it; nil unless this says what is done with one of several targets
	target string // that one
	warned map[string]bool

	mu sync.Mutex
	// noted is told what is said, but for progress, and of which target it is said, "" for
	// all; nil where nobody wants to know.
	noted func(target, text string, warning bool)
	held  *heldLines // nil unless something else has the terminal
	leave func()     // has it give the terminal back; nil where nothing has it
}

func (u *ui) say(format string, args ...any) {
	if u.parent == nil || u.verbose {
		u.tell(fmt.Sprintf(format, args...), false)
	}
}

// announce says what is said of one of several targets, too.
func (u *ui) announce(format string, args ...any) { u.tell(fmt.Sprintf(format, args...), false) }

// progress says how it stands, which is out of date with the next line: it is dropped
// where lines are held back. Progress reports whether it was said.
func (u *ui) progress(format string, args ...any) bool {
	if u.parent != nil {
		return false
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.held != nil {
		return false
	}
	u.write(fmt.Sprintf(format, args...))
	return true
}

func (u *ui) tell(text string, warning bool) {
	if u.parent != nil {
		u.forward(text, warning)
		return
	}
	u.tellOf("", text, warning)
}

// tellOf tells what is said of a target, "" for all.
func (u *ui) tellOf(target, text string, warning bool) {
	line := text
	if target != "" {
		line = target + ": " + text
	}
	u.mu.Lock()
	if u.held != nil {
		u.held.add(line)
	} else {
		u.write(line)
	}
	noted := u.noted
	u.mu.Unlock()
	if noted != nil {
		noted(target, printableText(text), warning)
	}
}

// write needs mu.
func (u *ui) write(text string) { fmt.Fprintf(u.stderr, "bpffuzz: %s\n", printableText(text)) }

// note has what is said from now on told to noted as well.
func (u *ui) note(noted func(target, text string, warning bool)) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.noted = noted
}

func printableText(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

func (u *ui) warn(format string, args ...any) {
	u.tell("warning: "+oneLine(fmt.Sprintf(format, args...)), true)
}

func (u *ui) detail(format string, args ...any) {
	if u.verbose {
		u.say(format, args...)
	}
}

// fail prints the error that ends the command.
func (u *ui) fail(err error) {
	var rejected *bpf.RejectedError
	if !errors.As(err, &rejected) {
		u.say("%s", oneLine(err.Error()))
		return
	}
	text, whole := rejected.Error(), fmt.Sprintf("%+v", rejected)
	where := strings.TrimSuffix(err.Error(), text) // such as which of two builds
	if where == err.Error() || strings.Contains(where, "\n") {
		where = ""
	}
	if u.verbose {
		text = whole
	}
	u.say("%s%s", where, text)
	if text != whole {
		u.say("the whole log is shown with -v")
	}
}

// print writes a result.
func (u *ui) print(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	io.WriteString(u.stdout, printableText(text))
}

// printJSON writes a result as one line.
func (u *ui) printJSON(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if _, err := io.WriteString(u.stdout, printableText(string(b)+"\n")); err != nil {
		return fmt.Errorf("writing JSON to standard output: %w", err)
	}
	return nil
}

// oneLine joins the lines of errors that came together.
func oneLine(text string) string {
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}

// count returns "1 step", "2 steps".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
