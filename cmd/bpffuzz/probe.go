package main

import "github.com/spf13/cobra"

func newProbe(u *ui) *cobra.Command { return &cobra.Command{Use: "probe"} }
