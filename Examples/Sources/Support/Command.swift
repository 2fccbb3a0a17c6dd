public import ArgumentParser
private import Foundation

/// A command whose values may begin with a dash: `--count -1`, `--negative "-blurry"`, `- a list`.
///
/// The parser takes every argument that begins with a dash for the name of an option. What cannot
/// be one is put here as the parser needs it: joined to the option that it is the value of, or
/// behind `--`. Whether a number makes sense is then for those to say who know.
public protocol Command: AsyncParsableCommand {
    /// Called before a command line that cannot be understood ends the process with a message.
    static func refused(_ arguments: [String], _ error: any Error)
}

extension Command {
    /// Parses the command line and runs the command.
    public static func main() async {
        // A reader of what is said that is gone is no reason to lose the work.
        signal(SIGPIPE, SIG_IGN)
        let arguments = OptionNames.parsable(Array(CommandLine.arguments.dropFirst()), for: self)
        do {
            _ = try parseAsRoot(arguments)
        } catch  where exitCode(for: error) != .success {
            refused(arguments, error)
        } catch {}
        await main(arguments)
    }

    /// Does nothing.
    public static func refused(_ arguments: [String], _ error: any Error) {}
}

/// The options of a command by their names, and those of its subcommands.
struct OptionNames: Decodable {
    private struct Tool: Decodable {
        var command: OptionNames
    }

    private struct Argument: Decodable {
        struct Name: Decodable {
            var kind, name: String
            /// The name with its dashes.
            var written: String { (kind == "long" ? "--" : "-") + name }
        }

        var kind: String
        var names: [Name]?
    }

    private var commandName: String
    private var subcommands: [OptionNames]?
    private var arguments: [Argument]?

    private func names(of kind: String) -> Set<String> {
        Set(
            (arguments ?? []).filter { $0.kind == kind }.flatMap {
                ($0.names ?? []).map(\.written)
            })
    }

    /// Arguments as the parser reads them for what they are.
    static func parsable(_ arguments: [String], for command: any Command.Type) -> [String] {
        guard arguments.contains(where: isValue),
            let tool = try? JSONDecoder().decode(Tool.self, from: Data(command._dumpHelp().utf8))
        else { return arguments }
        return tool.command.parsable(arguments)
    }

    /// Whether an argument that begins with a dash is no name of an option: that has a second dash
    /// or is a single letter, and has no white space in it.
    private static func isValue(_ argument: String) -> Bool {
        let name = argument.prefix { $0 != "=" }
        guard name.hasPrefix("-") else { return false }
        let isLetter = name.count == 2 && name.last?.isLetter == true
        return name.contains(where: \.isWhitespace) || !name.hasPrefix("--") && !isLetter
    }

    private func parsable(_ arguments: [String]) -> [String] {
        if let first = arguments.first,
            let subcommand = subcommands?.first(where: { $0.commandName == first })
        {
            return [first] + subcommand.parsable(Array(arguments.dropFirst()))
        }
        let takingValues = names(of: "option")
        var (options, others): ([String], [String]) = ([], [])
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                others += rest
                break
            }
            guard argument.hasPrefix("-"), !Self.isValue(argument) else {
                others.append(argument)
                continue
            }
            guard takingValues.contains(argument), let next = rest.first else {
                options.append(argument)
                continue
            }
            if Self.isValue(next) {
                options.append("\(argument)=\(next)")
                rest.removeFirst()
            } else {
                options.append(argument)
                if !next.hasPrefix("-") { options.append(rest.removeFirst()) }
            }
        }
        return others.isEmpty ? options : options + ["--"] + others
    }
}
