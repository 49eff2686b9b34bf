package report

import (
	"encoding/xml"
	"fmt"
)

// JUnit returns findings as a JUnit XML report with one test for each: it fails
// while the finding does, passes when it is fixed, is skipped when it is known, and
// has an error when it could not be checked.
func JUnit(all []*Status) ([]byte, error) {
	suite := junitSuite{Name: "bpffuzz", Tests: len(all)}
	for _, s := range all {
		c := junitCase{Class: s.Program + "." + s.Kind, Name: s.Key}
		what := &junitText{Message: s.Title, Type: s.Kind, Text: junitBody(s)}
		switch {
		case s.State == Fixed:
		case s.Known:
			c.Skipped = &junitText{Message: "known: " + s.Title}
			suite.Skipped++
		case s.State == Unchecked:
			c.Error = what
			suite.Errors++
		default:
			c.Failure = what
			suite.Failures++
		}
		suite.Cases = append(suite.Cases, c)
	}
	b, err := xml.MarshalIndent(struct {
		XMLName xml.Name `xml:"testsuites"`
		Suite   junitSuite
	}{Suite: suite}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing JUnit XML: %w", err)
	}
	return append([]byte(xml.Header), append(b, '\n')...), nil
}

type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string     `xml:"classname,attr"`
	Name    string     `xml:"name,attr"`
	Failure *junitText `xml:"failure"`
	Error   *junitText `xml:"error"`
	Skipped *junitText `xml:"skipped"`
}

type junitText struct {
	Message string `xml:"message,attr"`
	Type    string `xml:"type,attr,omitempty"`
	Text    string `xml:",chardata"`
}

func junitBody(s *Status) string {
	text := fmt.Sprintf("%s, met %s", s.Text(), times(s.Count))
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	if s.File != "" {
		text += fmt.Sprintf("\nat %s:%d", s.File, s.Line)
	}
	if s.Command != "" {
		text += "\nreplay it with: " + s.Command
	}
	return text
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
