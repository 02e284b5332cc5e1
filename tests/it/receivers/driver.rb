# Prints what both methods say of each case: its key, headers and body are files that begin with an argument.
require_relative "verify"

ARGV.each do |place|
  lines = File.readlines("#{place}.headers", chomp: true)
  headers = lines.to_h { |line| line.split(": ", 2) }.transform_keys(&:downcase)
  key, body = File.read("#{place}.key", encoding: "UTF-8"), File.binread("#{place}.body")
  puts "#{standard?(key, headers, body)} #{elements?(key, headers, body)}"
end
