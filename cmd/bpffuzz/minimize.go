package main

import "github.com/spf13/cobra"

func newMinimize(u *ui) *cobra.Command { return &cobra.Command{Use: "minimize"} }
